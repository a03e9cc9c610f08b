"""Depth: blocks in patterns, patterns repeated, run by one loop over stacked parameters."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from transformer.error import UserError
from transformer.nn.attention import Attention
from transformer.nn.bias import RelativeBias
from transformer.nn.context import Run
from transformer.nn.norm import NoNorm
from transformer.spec import Count, Rate, Spec


class Block(Spec):
    """Named sublayers under a residual rule: ((name, spec), ...)."""

    residual: Spec
    sublayers: tuple


class Segment(Spec):
    """A pattern of blocks, `repeats` times.

    shared: names of sublayers whose parameters, norms included, all repeats share (Lan 2020 §3.1).
    """

    pattern: tuple[Block, ...]
    repeats: Count
    shared: tuple[str, ...] = ()

    def check(self):
        if not self.pattern:
            raise UserError("Segment.pattern is empty; a stack needs at least one block")
        names = {name for block in self.pattern for name, _ in block.sublayers}
        if unknown := set(self.shared) - names:
            raise UserError(f"Segment.shared names {', '.join(sorted(unknown))}, but its sublayers "
                            f"are {', '.join(sorted(names))}")

    def shares(self, key: str) -> bool:
        """Whether the parameters called `key` in a period are shared by all repeats."""
        names = {name for block in self.pattern for name, _ in block.sublayers}
        if names <= set(self.shared):
            return True
        return key.split("_", 1)[1].removesuffix("_norm") in self.shared


class Stack(Spec):
    """Segments in order, then a norm and dropout. bias: what all self-attention adds to scores."""

    segments: tuple[Segment, ...]
    final_norm: Spec = NoNorm()
    dropout: Rate = 0.0
    bias: RelativeBias | None = None

    def check(self):
        if self.bias is None:
            return
        for segment in self.segments:
            for block in segment.pattern:
                for name, layer in block.sublayers:
                    if isinstance(layer, Attention) and layer.heads != self.bias.heads:
                        raise UserError(f"Stack.bias is for {self.bias.heads} heads, but {name} "
                                        f"has {layer.heads}; use the same number")

    @property
    def depth(self) -> int:
        """How many blocks."""
        return sum(s.repeats * len(s.pattern) for s in self.segments)


def is_product(primitive, *_, **__) -> bool:
    """The remat policy "dots". What has a gradient of its own is a product as well (`ops.linear`,
    `ops.tiles`), and so is attention on a mesh; JAX's policies do not look into them."""
    return primitive.name in ("dot_general", "custom_vjp_call", "shard_map")


def rematerialised(body, run: Run):
    """The body of a loop, whose backward pass computes again what `run` does not want kept."""
    saved = {"none": None, "attention": None, "full": jax.checkpoint_policies.nothing_saveable,
             "dots": is_product}[run.remat]
    # prevent_cse is for code outside loops; inside a scan it only costs speed
    return jax.checkpoint(body, prevent_cse=False, policy=saved) if saved else body


class Period(nn.Module):
    """One period of a pattern. Detached from its stack: it never knows about depth."""

    pattern: tuple

    @nn.compact
    def __call__(self, x_BTD, ctx, entries):
        left = {}

        def bind(name, module, site):
            def layer(h_BTD):
                y_BTD, left[name] = module(h_BTD, ctx.fold(site), entries.get(name, {}))
                return y_BTD

            return layer

        site = 0
        for n, block in enumerate(self.pattern):
            layers = []
            for name, spec in block.sublayers:
                key = f"{n}_{name}"
                layers.append((name, bind(key, spec.build(key), site)))
                site += 1
            x_BTD = block.residual(x_BTD, layers, n)
        return x_BTD, left


class StackModule(nn.Module):
    """Owns segment_n, one period's parameters stacked [L, ...], shared_n, those that all its
    repeats share, bias and final_norm.

    For decoding, segment_n may also be a tuple of one period's parameters each (see
    `nn.door.unstack`): slicing a stacked tree at every token would copy all weights.
    """

    spec: Stack

    @nn.compact
    def __call__(self, x_BTD, ctx, entries=None):
        """entries: None outside decoding, () at its first call, else one entry per period.

        Returns:
          The stream [B, T, D] and what each period left, in order.
        """
        s, left = self.spec, []
        if s.bias is not None:
            bias_BHTS = s.bias.build("bias")(ctx.i_BT, ctx.j_BS)
            ctx = dataclasses.replace(ctx, bias_BHTS=bias_BHTS)
        for n, segment in enumerate(s.segments):
            x_BTD, more = self.segment(n, segment, x_BTD, ctx.fold(n), entries, len(left))
            left += more
        x_BTD = s.final_norm.build("final_norm")(x_BTD)
        return ctx.fold(len(s.segments)).drop(x_BTD, s.dropout, 0), tuple(left)

    def segment(self, n, segment, x_BTD, ctx, entries, first):
        period = Period(segment.pattern, parent=None)
        stacked, shared = self.own(n, segment, period, x_BTD, ctx)

        def layer(x_BTD, this, entry={}):
            params, l = this
            return period.apply({"params": {**shared, **params}}, x_BTD, ctx.fold(l), entry)

        if entries is None:
            body, steps = rematerialised(layer, ctx.run), jnp.arange(segment.repeats)
            x_BTD, _ = jax.lax.scan(body, x_BTD, (stacked, steps), unroll=ctx.run.unroll)
            return x_BTD, []
        left = []
        for l in range(segment.repeats):
            params = (stacked[l] if isinstance(stacked, (tuple, list))
                      else jax.tree.map(lambda leaf: leaf[l], stacked))
            x_BTD, kept = layer(x_BTD, (params, l), entries[first + l] if entries else {})
            left.append(kept)
        return x_BTD, left

    def own(self, n, segment, period, x_BTD, ctx):
        """The stacked and the shared parameters of a segment."""

        def made(key, shared):
            params = period.init(key, x_BTD, ctx, {})["params"]
            return {name: p for name, p in params.items() if segment.shares(name) == shared}

        def stack(key):
            keys = jax.random.split(key, segment.repeats)
            return jax.vmap(lambda key: made(key, False))(keys)

        names = [f"{m}_{name}" for m, block in enumerate(segment.pattern)
                 for name, _ in block.sublayers]
        shares = list(map(segment.shares, names))
        stacked = {} if all(shares) else self.keep(f"segment_{n}", stack)
        return stacked, self.keep(f"shared_{n}", lambda k: made(k, True)) if any(shares) else {}

    def keep(self, name, init):
        """Not `self.param` at apply: that would trace the initialiser."""
        if self.has_variable("params", name):
            return self.get_variable("params", name)
        return self.param(name, init)
