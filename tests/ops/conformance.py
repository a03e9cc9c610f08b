"""The conformance matrix of attention: every cell, and what each backend says of it.

`python tests/ops/conformance.py` writes docs/attention.md from it; `test_conformance.py` runs it.
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
