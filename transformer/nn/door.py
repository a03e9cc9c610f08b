"""The doors of a model: everything above this floor calls these and never imports flax."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from transformer.nn.attention import Attention
from transformer.nn.context import Run
from transformer.nn.model import Decoder, SourceToTarget
from transformer.ops.unscored import whole
from transformer.spec import Spec


@dataclasses.dataclass(frozen=True)
class Model:
    """An architecture as pure functions of its parameters (a plain dict of arrays).

    A batch is a dict of int32 arrays: `tokens` [B,T] and, where they apply, `segments` [B,T]
    (0 = padding, equal numbers see each other; all valid if absent), `positions` [B,T] (counted
    from 0 if absent), `types` [B,T], `prefix` [B,T] (1 = part of its document's prefix), `masked`
    [B,N], `spans` [B,N,2] (the neighbours of each slot's span), `pooled` [B], `index` [B] (global
    example number, the key of dropout), and the same with `source_` for the encoder of a pair of
    stacks. `queries` [B,T] are segment numbers that tokens have as queries only, `segments` if
    absent: padding may look at a text that never looks back.
    """

    spec: Spec

    def init(self, key) -> dict:
        """Parameters, float32. Only their shapes depend on the spec, their values on `key` too."""
        return self.spec.build().init(key, self.example())["params"]

    def shapes(self) -> dict:
        """The parameters' shapes and types, without making any."""
        return jax.eval_shape(self.init, jax.random.key(0))

    def count(self) -> int:
        """How many parameters."""
        return _count(self)

    def example(self) -> dict:
        """The smallest batch that reaches every parameter."""
        tokens = jnp.zeros((1, 1), jnp.int32)
        if isinstance(self.spec, SourceToTarget):
            return {"tokens": tokens, "source_tokens": tokens}
        return {"tokens": tokens}

    def apply(self, params, batch, rng=None, run: Run = Run(), part: str | None = None,
              scored: bool = True):
        """One forward pass. Pure.

        Args:
          params: as from `init`. batch: see the class.
          rng: a key; dropout is on where it is given, off where it is None.
          run: how to run.
          part: of a Pair, the only one to run: "generator" or "discriminator".
          scored: False leaves scores of the vocabulary unmade, see `ops.unscored`; objectives take
            them so, and make a few at a time.

        Returns:
          {head name: logits, "hidden": [B,T,D], "pooled": [B,D], "memory": [B,S,D]}.

        Raises:
          UserError: the rows are longer than the model's positions.
        """
        parts = {} if part is None else {"part": part}
        found = self.spec.build().apply({"params": params}, batch, rng, run, **parts)
        return {name: whole(value) for name, value in found.items()} if scored else found

    def stepped(self, run: Run = Run()):
        """`apply` as steps call it: (params, batch, rng=None, part=None), with scores of the
        vocabulary left unmade.

        A row without `positions` holds one document and padding behind it (`data.rowset`). Where
        attention only looks back, no token of it sees the padding, so segments say nothing then,
        and kernels need no mask.
        """
        apply = functools.partial(self.apply, run=run, scored=False)
        if not _looks_back(self.spec):
            return apply

        def bare(params, batch, rng=None, **part):
            if "positions" not in batch:
                batch = {name: array for name, array in batch.items() if name != "segments"}
            return apply(params, batch, rng, **part)

        return bare

    def open(self, params, batch, capacity: int, run: Run = Run(), slots: int | None = None):
        """A cache for `capacity` positions per row; encodes `source_tokens` where there are any.

        slots: how many tokens find room in a row, `capacity` if None; more where it will `split`.

        Raises:
          UserError: the model has fewer positions than `capacity`.
        """
        return self.spec.build().apply({"params": params}, batch, capacity, slots, run,
                                       method="open")

    def decode(self, params, cache, tokens_BT, segments_BT=None, run: Run = Run()):
        """New tokens through the cache; the first call is the prompt.

        Args:
          tokens_BT: [B, T] of the new tokens; segments_BT: 1 valid, 0 padding; all valid if None.

        Returns:
          Logits [B, V] that follow each row's last valid token, and the cache.
        """
        segments_BT = jnp.ones_like(tokens_BT) if segments_BT is None else segments_BT
        return self.spec.build().apply({"params": params}, cache, tokens_BT, segments_BT, run,
                                       method="decode")

    def split(self, cache, width: int):
        """The cache with W = `width` branches in each row; from here on it will `grow`."""
        return self.spec.build().apply({}, cache, width, method="split")

    def grow(self, params, cache, tokens_BW, parent_BW, segments_BW, run: Run = Run()):
        """One more token in every branch of every row. It takes W slots.

        Args:
          tokens_BW: [B, W] the tokens; parent_BW: [B, W] which of its row's branches, as they
            were, each continues; segments_BW: 1 valid, 0 padding.

        Returns:
          Logits [B, W, V] that follow each branch's token, and the cache.
        """
        return self.spec.build().apply({"params": params}, cache, tokens_BW, parent_BW,
                                       segments_BW, run, method="grow")


def _looks_back(spec: Spec) -> bool:
    """Whether no token of this decoder sees a later one."""
    return type(spec) is Decoder and all(
        layer.reach.backward for segment in spec.stack.segments for block in segment.pattern
        for _, layer in block.sublayers if isinstance(layer, Attention))


@functools.cache
def _count(model: Model) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(model.shapes()))


def unstack(params):
    """The parameters with each segment_n of a stack that decodes as a tuple of periods.

    Do this once, on load: slicing the stacked tree inside the loop copies the weights at every
    token. An encoder runs once, so it stays stacked.
    """
    if not isinstance(params, dict):
        return params
    return {name: _periods(tree) if name.startswith("segment_")
            else tree if name == "encoder" else unstack(tree) for name, tree in params.items()}


def _periods(stacked):
    repeats = jax.tree.leaves(stacked)[0].shape[0]
    return tuple(jax.tree.map(lambda leaf: leaf[l], stacked) for l in range(repeats))
