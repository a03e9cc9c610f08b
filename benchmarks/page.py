"""docs/speed.md from what lies in benchmarks/results/.

    python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import goals, record

PAGE = record.RESULTS.parent.parent / "docs" / "speed.md"
EXPECTED = "nvidia-h200"  # the goals for accelerators are those of one of these
INTRODUCTION = """# Speed

Written by `python -m benchmarks.page` from `benchmarks/results/`. `python -m benchmarks.run
--minutes=8` measures everything again, the most important first, as far as the time goes: on a
machine with a GPU or TPU the second table, elsewhere the first. Each comparison runs both sides in
turns in one run, in processes of their own, and takes medians; nothing here was measured apart.

How it is counted: FLOPs of a step are those of its matrix products, three times the forward pass,
causal attention by half, the output matrix once, lookups, norms and recomputation never
(`transformer.nn.count`). "Of the matmul rate" is those FLOPs a second over the rate of one matrix
product that was measured in the same run: [4096, 256] x [256, 1024] on a CPU, [8192, 8192] x
[8192, 8192] in bf16 with random numbers on an accelerator. MFU is the same over the data sheet's
peak, and n/a where the device's is unknown.
"""
PROFILE = """## Where the time of a step goes

`python -m transformer profile CONFIG [--steps=N] [--json=PATH] [--field=VALUE ...]` takes steps as
training does, writes a trace for TensorBoard or Perfetto (`--trace=DIR`), and prints a table whose
rows add up to the step as it was traced; the step without the trace stands below it.

| row | |
|---|---|
| data wait, host | the device had nothing to do: no batch was there, or the host did other things |
| embedding, attention, norms, ... | these modules; what the backward pass recomputes is backward |
| residual and loop | sums around sublayers; slices and stacks that the loop over layers makes |
| head and loss | the vocabulary's scores, and the loss |
| optimizer | clipping, moments, the update |
| unnamed | operations of other programs than the step |
| collectives | communication that no arithmetic hides; all of it stands below the table |
| other | nothing that the trace names |

Operations at the same time share it. A fused operation counts for the part of its last result, and
a copy or zeros without a name for the operation that it is next to. The floor of a row is the
larger of its FLOPs at the matmul rate and the bytes that it must move at least at the bandwidth,
both measured before: weights read twice and their gradient written, a sublayer's or norm's stream
moved five times, the optimizer's state read and written. On GPUs XLA's graphs of kernels are left
off, for their kernels have no names; a step without the profile launches faster. The table is of
the first device.
"""


def results(folder: Path) -> dict[str, dict]:
    """{name: content} of the results in a folder."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.json"))}


def page(folder: Path) -> str:
    """The page for the results under a folder."""
    found = results(folder)
    parts = [INTRODUCTION, "## CPU\n", table(goals.cpu(found), found)]
    slugs = {EXPECTED} | {path.name for path in folder.iterdir() if path.is_dir()}
    for slug in sorted(slugs):
        here = results(folder / slug)
        names = {content.get("device") or content["sides"]["ours"]["device"]
                 for name, content in here.items() if not name.startswith("compile")}
        title = ", ".join(sorted(names)) or "NVIDIA H200"
        parts.append(f"## {title}\n")
        if not here:
            parts.append("Nothing was measured on one yet; the goals wait for it.\n")
        parts.append(table(goals.accelerator(here, goals=slug == EXPECTED), here))
    parts.append(PROFILE)
    return "\n".join(parts)


def table(rows: list[goals.Row], found: dict[str, dict]) -> str:
    """The rows, and behind them where each result comes from."""
    lines = ["| | measured | goal | |", "|---|---|---|---|"]
    for row in rows:
        bound = "at most" if row.most else "at least"
        goal = "" if row.goal is None else f"{bound} {number(row.goal)}{row.unit}"
        value = "" if row.value is None else f"{number(row.value)}{row.unit}"
        if row.what.endswith("MFU") and row.value is None and row.result in found:
            value, verdict = "n/a", ""
        else:
            verdict = row.verdict
        lines.append(f"| {row.what} | {value} | {goal} | {verdict} |")
    used = [name for name in dict.fromkeys(row.result for row in rows) if name in found]
    if used:
        lines += ["", "| result | date | on | with |", "|---|---|---|---|"]
        lines += [f"| `{name}` | {found[name]['date'][:10]} | {where(found[name])} | "
                  f"{versions(found[name])} |" for name in used]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Three figures that matter, or all of a large number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def where(content: dict) -> str:
    """The processor and how many cores of it."""
    cores = f", {content['cores']} cores" if "cores" in content else ""
    return content["processor"] + cores


def versions(content: dict) -> str:
    """The versions that decide, and the commit."""
    known = content["versions"]
    told = [f"{name} {known[name]}" for name in ("jax", "torch", "transformers") if name in known]
    return ", ".join(told + ([f"commit {content['commit']}"] if content.get("commit") else []))


def write() -> Path:
    """Writes the page and returns where it is."""
    PAGE.write_text(page(record.RESULTS), encoding="utf-8")
    return PAGE


if __name__ == "__main__":
    print(write())
