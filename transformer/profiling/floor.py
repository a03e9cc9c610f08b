"""The least time that each part of a step could take: its arithmetic, or the bytes it must move."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

import jax
import numpy as np

from transformer.nn.count import costs
from transformer.nn.door import Model
from transformer.nn.head import Masked, Tied
from transformer.profiling.part import EMBEDDING, HEAD, NORMS, OPTIMIZER, part_of

# The stream that a sublayer or norm moves at least: forward it reads and writes one, backward it
# reads its input and the gradient of its output and writes that of its input.
PASSES = 5
MOVED = 3  # times a parameter is: read forward and backward, and its gradient written


class Work(NamedTuple):
    """Of one step: floating-point operations, and bytes between the memory and the chip."""

    flops: float = 0.0
    bytes: float = 0.0

    def floor(self, rate: float, bandwidth: float) -> float:
        """Seconds, if nothing but the slower of the two took any."""
        return max(self.flops / rate, self.bytes / bandwidth)


def work(model: Model, state: dict, batch: dict, width: int) -> dict[str, Work]:
    """{part: Work} of one step.

    Args:
      state: as from `training.step.start`, or its shapes. batch: host arrays, rows first.
      width: bytes of a number of the stream.
    """
    rows, length = batch["tokens"].shape
    source = batch["source_tokens"].shape[1] if "source_tokens" in batch else 0
    slots = batch["masked"].shape[1] if "masked" in batch else length
    flops, moved = defaultdict(float), defaultdict(float)
    for path, one in costs(model, length, source, slots):
        flops[part_of(path)] += rows * one
    streams = {"": rows * length, "encoder": rows * source}
    shapes = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in
              jax.tree_util.tree_leaves_with_path(state["params"])}
    token = width * model.spec.embedding.width  # bytes
    for site, times in _sites(shapes):
        here = streams["encoder" if site.startswith("encoder/") and source else ""]
        moved[part_of(site)] += times * PASSES * here * token
    for path, leaf in shapes.items():
        looked_up = path.endswith("embedding/tokens")  # few of its rows are read
        moved[part_of(path)] += _bytes(leaf) * (1 if looked_up else MOVED)
    table = sum(_bytes(leaf) for path, leaf in shapes.items() if path.endswith("embedding/tokens"))
    moved[HEAD] += 2 * table * sum(isinstance(head, (Tied, Masked)) for _, head in model.spec.heads)
    moved[HEAD] += 2 * rows * slots * token
    moved[EMBEDDING] += 2 * (streams[""] + streams["encoder"]) * token
    kept = sum(map(_bytes, jax.tree.leaves(state["opt"])))
    params = sum(map(_bytes, shapes.values()))
    average = 2 * params if "ema" in state else 0
    moved[OPTIMIZER] += 2 * kept + 3 * params + average  # read and written; gradients only read
    return {part: Work(flops[part], moved[part]) for part in {*flops, *moved}}


def _sites(shapes) -> list[tuple[str, int]]:
    """(path, times) of every sublayer and norm of the stacks."""
    found = {}
    for path, leaf in shapes.items():
        if part_of(path) == NORMS or re.search(r"/\d+_\w+/", path):
            site = re.sub(r"(/\d+_\w+|norm)/.*", r"\1", path)
            found[site] = leaf.shape[0] if "/segment_" in path else 1
    return list(found.items())


def _bytes(leaf) -> int:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return 0
    return int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
