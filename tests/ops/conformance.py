"""The conformance matrix of attention: every cell, and what each backend says of it.

`PYTHONPATH=. python tests/ops/conformance.py` writes docs/attention.md from it, and
`test_conformance.py` runs it.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

from transformer.ops.backend import REFUSALS
from transformer.ops.case import Case
from transformer.ops.reach import Causal, Everywhere, Global, Prefix, Window

REACHES = {"causal": Causal(), "bidirectional": Everywhere(), "prefix": Causal() | Prefix(),
           "cross": Everywhere(), "window": Causal() & Window(width=100),
           "window+global": Window(width=100) | Global(count=3)}
ROWS = ("padding", "packing", "both")
PLATFORM = {"xla": "cpu", "tiles": "cpu", "cudnn": "gpu", "splash": "tpu"}
HOW = {"xla": "run", "tiles": "run", "cudnn": "lowered", "splash": "interpreted"}
T, S, H, K = 384, 256, 4, 64  # 384 slots are three blocks of a TPU's kernel; S of another source


class Cell(NamedTuple):
    reach: str
    rows: str
    bias: bool
    grouped: bool
    backend: str

    def case(self) -> Case:
        """What the backend is asked for, on its own device, in a type that it takes."""
        return Case(
            PLATFORM[self.backend], "bfloat16" if self.backend == "cudnn" else "float32", T,
            S if self.reach == "cross" else T, H, 2 if self.grouped else H, K, REACHES[self.reach],
            aligned=self.rows == "padding" and self.reach != "cross",
            prefix=self.reach == "prefix", bias=self.bias)

    def refusal(self) -> str | None:
        return REFUSALS[self.backend](self.case())


CELLS = tuple(itertools.starmap(Cell, itertools.product(
    REACHES, ROWS, (False, True), (False, True), REFUSALS)))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "attention.md"


def pairwise(cells) -> list[Cell]:
    """Few cells that hold every pair of values that some cell holds, chosen greedily."""
    pairs = lambda cell: set(itertools.combinations(enumerate(cell), 2))
    left, chosen = set().union(*map(pairs, cells)), []
    while left:
        chosen.append(max(cells, key=lambda cell: len(pairs(cell) & left)))
        left -= pairs(chosen[-1])
    return chosen


def page() -> str:
    """docs/attention.md."""

    marks = {cell: HOW[cell.backend] if cell.refusal() is None else "refused" for cell in CELLS}
    rows = []
    for reach, laid, bias in itertools.product(REACHES, ROWS, (False, True)):
        shown = []
        for backend in REFUSALS:
            both = {marks[Cell(reach, laid, bias, grouped, backend)] for grouped in (False, True)}
            shown.append(" or ".join(sorted(both)))
        rows.append(f"| {reach} | {laid} | {'yes' if bias else 'no'} | {' | '.join(shown)} |")
    why = sorted({f"- `{cell.backend}`: {cell.refusal()}" for cell in CELLS if cell.refusal()})
    return TEXT.format(
        date=DATE, jax=VERSION, cells=len(CELLS), backends=" | ".join(REFUSALS),
        rows="\n".join(rows), why="\n".join(why),
        taken=sum(mark != "refused" for mark in marks.values()))


DATE, VERSION = "2026-11-20", "0.10.2"  # of the last run of every cell: pytest -m full
TEXT = """# Attention

One door computes attention, `transformer.ops.backend.attention`. Behind it are four backends:

| backend | what it is | on |
|---|---|---|
| `xla` | scores and softmax in float32, as written; the reference | any device |
| `tiles` | scores a few rows and queries at a time, made again in the backward pass | any device |
| `cudnn` | cuDNN's fused kernel | NVIDIA GPUs |
| `splash` | JAX's splash kernel (Pallas): blocks that nobody may look at are never made | TPUs |

`--run.attention=auto`, the default, takes the first of `splash`, `cudnn`, `tiles`, `xla` that takes
the case: the device, the type, the lengths, what queries may see, whether something is added to
the scores. On a GPU or TPU the choice is logged once with its reason. A backend that is asked for
by name and does not take a case is an error before anything is computed.

On a mesh a backend works on what a device has: rows over `data` and `fsdp`, heads over `tensor`,
queries over `sequence`, where keys and values of the row are gathered and scores never are.

## The conformance matrix

{cells} cells: what queries see x how rows are filled x whether a bias is added x whether query
heads share key-value heads x backend. A cell that is taken ({taken} of them) equals a reference in
float64, with all three gradients, to 3e-6 of their largest value (tests/ops/test_conformance.py);
every other is refused. Last run of every cell: {date}, jax {jax}.

- **run**: computed here, by the backend itself.
- **interpreted**: the TPU's kernel in Pallas' interpreter, and compiled ahead of time for TPUs
  by `plan`.
- **lowered**: the very call that goes to cuDNN, computed by JAX's own implementation of it, and
  lowered for CUDA to cuDNN's kernels; never run on a GPU here.
- **refused**: see below; `auto` then takes another backend.

"padding" rows hold one document and padding, "packing" several documents, "both" both. With and
without grouped heads a row of this table says the same.

| queries see | rows hold | bias | {backends} |
|---|---|---|---|---|---|---|
{rows}

## Why a cell is refused

{why}

Beyond the matrix: `splash` takes lengths that are multiples of 128 and no dropout of probabilities;
`cudnn` takes bfloat16, head dimensions up to 128 that are multiples of 8, masks of even lengths,
and no dropout of probabilities; `tiles` on a mesh takes none either, for it is drawn for all heads
of a row at once. Decoding from a cache is always `xla`: few queries, keys in no order.

This page is made by `PYTHONPATH=. python tests/ops/conformance.py`.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
