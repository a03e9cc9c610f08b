"""Self-attention and cross-attention sublayers: (x, ctx, entry) -> (y, left).

`entry` is the sublayer's cache entry while decoding (empty at the first call), `left` the new one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from transformer.error import UserError
from transformer.nn.initial import Normal
from transformer.nn.norm import NoNorm
from transformer.nn.position import Rotary
from transformer.nn.project import Projecting
from transformer.ops import dropout as ops
from transformer.ops.backend import attention
from transformer.ops.placement import constrain
from transformer.ops.reach import Everywhere, Reach
from transformer.spec import Count, Rate, Spec


class Heads(Spec):
    """What self- and cross-attention share (Vaswani 2017 §3.2.2).

    heads: H. kv_heads: G, heads by default (Shazeer 2019, Ainslie 2023). head_dim: K, D / heads by
    default. bias: on all four projections. scale: of the scores, K^-1/2 by default.
    dropout: rate on the output. probability_dropout: rate on the attention probabilities.
    init, query_init, out_init: of the weights; the latter two are init by default.
    """

    heads: Count
    kv_heads: Count | None = None
    head_dim: Count | None = None
    bias: bool = False
    scale: float | None = None
    dropout: Rate = 0.0
    probability_dropout: Rate = 0.0
    init: Spec = Normal()
    query_init: Spec | None = None
    out_init: Spec | None = None

    def check(self):
        if self.heads % (self.kv_heads or self.heads):
            raise UserError(f"{self.heads} heads do not divide into {self.kv_heads} kv_heads; "
                            "use a divisor")

    def sizes(self, width: int) -> tuple[int, int, int]:
        """H, G, K for a stream of this width."""
        if self.head_dim is None and width % self.heads:
            raise UserError(f"width {width} does not divide by {self.heads} heads; use a multiple "
                            f"of {self.heads}, or set head_dim")
        return self.heads, self.kv_heads or self.heads, self.head_dim or width // self.heads


class Attention(Heads):
    """Self-attention.

    reach: which keys a query sees. rotary: rotation of queries and keys. qk_norm: of each query and
    key over K, before the rotation (Dehghani 2023 §2).
    """

    reach: Reach = Everywhere()
    rotary: Rotary | None = None
    qk_norm: Spec = NoNorm()

    def build(self, name: str):
        return AttentionModule(self, name=name)


class CrossAttention(Heads):
    """Attention from the decoder to the encoder's output (Vaswani 2017 §3.2.3)."""

    def build(self, name: str):
        return CrossAttentionModule(self, name=name)


class HeadsModule(Projecting):
    """Owns query [D,H,K], key and value [D,G,K], out [H,K,D] and their biases."""

    def query(self, x_BTD):
        D = x_BTD.shape[-1]
        H, _, K = self.spec.sizes(D)
        bias = (H, K) if self.spec.bias else None
        q_BTHK = self.project("query", "btd,dhk->bthk", x_BTD, (D, H, K), bias=bias,
                              init=self.spec.query_init)
        return constrain(q_BTHK, "BTHK")

    def key_value(self, x_BSD, width: int):
        D = x_BSD.shape[-1]
        _, G, K = self.spec.sizes(width)
        bias = (G, K) if self.spec.bias else None
        return tuple(
            constrain(self.project(n, "bsd,dgk->bsgk", x_BSD, (D, G, K), bias=bias), "BSGK")
            for n in ("key", "value"))

    def mix(self, ctx, q_BTHK, k_BSGK, v_BSGK, sight, width: int, bias_BHTS=None):
        s = self.spec
        H, _, K = s.sizes(width)
        keys_B = ops.fold(ctx.keys_B, 0) if s.probability_dropout else None
        o_BTHK = attention(
            q_BTHK, k_BSGK, v_BSGK, sight, K**-0.5 if s.scale is None else s.scale, keys_B,
            s.probability_dropout, bias_BHTS, ctx.run.attention, ctx.run.remat == "attention")
        y_BTD = self.project("out", "bthk,hkd->btd", o_BTHK, (H, K, width), ins=2,
                             bias=(width,) if s.bias else None, init=s.out_init or s.init)
        return ctx.drop(y_BTD, s.dropout, 1)


def slots_last(x_BSGK):
    """[B, G, K, S]: the layout of the cache.

    Both products of attention read it as it lies; slots before heads, all of it would be copied
    into this order at every token.
    """
    return jnp.moveaxis(x_BSGK, 1, 3)


def cached(entry):
    """The keys and values [B, S, G, K] of a cache entry."""
    return tuple(jnp.moveaxis(entry[name], 3, 1) for name in ("key", "value"))


class AttentionModule(HeadsModule):
    """Queries, keys and values from one stream; while decoding, its keys join the cached ones."""

    @nn.compact
    def __call__(self, x_BTD, ctx, entry):
        s, D = self.spec, x_BTD.shape[-1]
        q_BTHK, (k_BSGK, v_BSGK) = self.query(x_BTD), self.key_value(x_BTD, D)
        q_BTHK = s.qk_norm.build("query_norm")(q_BTHK)
        k_BSGK = s.qk_norm.build("key_norm")(k_BSGK)
        if s.rotary is not None:
            q_BTHK, k_BSGK = s.rotary(q_BTHK, ctx.i_BT), s.rotary(k_BSGK, ctx.i_BT)
        left = {}
        if ctx.slot is not None:
            left = {"key": self.write(entry.get("key"), k_BSGK, ctx),
                    "value": self.write(entry.get("value"), v_BSGK, ctx)}
            k_BSGK, v_BSGK = cached(left)
        y_BTD = self.mix(ctx, q_BTHK, k_BSGK, v_BSGK, ctx.sight(s.reach), D, ctx.bias_BHTS)
        return y_BTD, left

    def write(self, old_BGKS, new_BTGK, ctx):
        """The cached keys or values [B, G, K, S] with the new ones written at the slot."""
        new_BGKT = slots_last(new_BTGK)
        if old_BGKS is None:
            old_BGKS = jnp.zeros((*new_BGKT.shape[:3], ctx.key_BS.shape[1]), new_BGKT.dtype)
        if old_BGKS.shape[0] == 1:  # `len` refuses the open sizes of an exported program
            # XLA on CPU writes in place only what has no dimensions of one
            bare_GKS = jax.lax.dynamic_update_slice_in_dim(old_BGKS[0], new_BGKT[0], ctx.slot, 2)
            return bare_GKS[None]
        return jax.lax.dynamic_update_slice_in_dim(old_BGKS, new_BGKT, ctx.slot, 3)


class CrossAttentionModule(HeadsModule):
    """Queries from the stream, keys and values from the encoder's output."""

    @nn.compact
    def __call__(self, x_BTD, ctx, entry):
        D = x_BTD.shape[-1]
        # decoding computes them at its first call
        k_BSGK, v_BSGK = cached(entry) if entry else self.key_value(ctx.memory_BSD, D)
        left = {}
        if ctx.slot is not None:
            left = entry or {"key": slots_last(k_BSGK), "value": slots_last(v_BSGK)}
        sight = ctx.memory_sight(k_BSGK.shape[1])
        y_BTD = self.mix(ctx, self.query(x_BTD), k_BSGK, v_BSGK, sight, D)
        return y_BTD, left
