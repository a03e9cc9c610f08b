"""`python -m transformer plot DIR`: the curves of a run as a picture."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections import Counter
from pathlib import Path

from transformer.error import UserError
from transformer.training.log import NAME, read_metrics

_PANELS = (  # title, fields, logarithmic
    ("loss (nats)", ("loss", "validation_loss"), False),
    ("learning rate", ("learning_rate",), False),
    ("gradient norm", ("grad_norm",), True),
    ("tokens per second", ("tokens_per_second",), False),
)


def command(arguments: list[str]) -> int:
    """Writes the picture and prints where it is.

    Raises:
      UserError: a directory without metrics, metrics without a single number to draw, or an output
        of a kind that matplotlib does not write.
    """
    parser = argparse.ArgumentParser(prog="python -m transformer plot", description=(
        "Draw loss (nats), learning rate, gradient norm and tokens per second against the step. "
        "Stages and further directories become further lines."))
    parser.add_argument("directory", type=Path, nargs="+", help="the directory of a run")
    parser.add_argument("--output", type=Path, help="the picture; its suffix says of which kind "
                        "(default: DIR/curves.png)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")
    options = parser.parse_args(arguments)
    output = _writable(options.output or options.directory[0] / "curves.png")
    runs = {name: curves(path) for name, path in _runs(options.directory).items()}
    if not any(points for run in runs.values() for points in run.values()):
        raise UserError(f"{options.directory[0]}: {NAME} has no numbers to draw yet")
    output.parent.mkdir(parents=True, exist_ok=True)
    draw(runs).savefig(output, dpi=150)
    if options.json:
        options.json.write_text(json.dumps(runs) + "\n", encoding="utf-8")
    print(output)
    return 0


def curves(directory) -> dict[str, list[tuple[int, float]]]:
    """{field: [(step, value), ...]} of the fields to draw, values that are not finite left out."""
    fields = [field for _, names, _ in _PANELS for field in names]
    records = read_metrics(directory)
    return {field: [(r["step"], r[field]) for r in records if _is_number(r.get(field))]
            for field in fields}


def draw(runs: dict[str, dict]):
    """A matplotlib Figure with one panel for each quantity that any of the runs has."""
    from matplotlib.figure import Figure
    panels = [p for p in _PANELS if any(run[f] for run in runs.values() for f in p[1])]
    figure = Figure(figsize=(8, 2.2 + 1.5 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=[
        2.2, *[1] * (len(panels) - 1)])[:, 0]
    for axis, (title, fields, logarithmic) in zip(axes, panels):
        for n, (name, run) in enumerate(runs.items()):
            _draw_run(axis, f"C{n}", name, run, fields)
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        if logarithmic and any(y > 0 for run in runs.values() for f in fields for _, y in run[f]):
            axis.set_yscale("log")
    axes[0].legend(frameon=False)
    axes[-1].set_xlabel("step")
    return figure


def _draw_run(axis, color: str, name: str, run: dict, fields) -> None:
    for field in fields:
        if not run[field]:
            continue
        x, y = zip(*run[field])
        if field == "loss" and len(y) >= 50:  # the raw curve behind a running mean
            axis.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
            y = _smooth(y)
        style = dict(marker="o", markersize=3, linestyle="--") if field.startswith("val") else {}
        axis.plot(x, y, color=color, linewidth=1.4, label=f"{name} {field}", **style)


def _smooth(values) -> list[float]:
    """Mean over a window of a thirtieth of the curve, centred so that it does not lag behind."""
    sums, last = list(itertools.accumulate(values, initial=0.0)), len(values) - 1
    out = []
    for n in range(len(values)):
        reach = min(len(values) // 60, n, last - n)
        out.append((sums[n + reach + 1] - sums[n - reach]) / (2 * reach + 1))
    return out


def _writable(output: Path) -> Path:
    """The path as it is, or UserError where matplotlib does not know its suffix."""
    from matplotlib.backend_bases import FigureCanvasBase
    known = FigureCanvasBase.get_supported_filetypes()
    if output.suffix[1:].lower() not in known:
        raise UserError(f"--output={output}: matplotlib does not write {output.suffix!r}; end the "
                        f"name in .{', .'.join(sorted(known))}")
    return output


def _runs(roots: list[Path]) -> dict[str, Path]:
    """{name: directory} of every run and stage: those of one name are told apart by their paths."""
    found = [pair for root in roots for pair in _named(root)]
    uses = Counter(name for name, _ in found)
    return {name if uses[name] == 1 else str(path): path for name, path in found}


def _named(root: Path) -> list[tuple[str, Path]]:
    """(name, directory) of the run, or of each stage below it."""
    found = [root] if (root / NAME).is_file() else sorted(p.parent for p in root.glob(f"*/{NAME}"))
    if not found:
        raise UserError(f"{root}: there is no {NAME} here; name the directory of a run")
    return [(path.resolve().name if path == root else f"{root.resolve().name}/{path.name}", path)
            for path in found]


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
