"""The input: tokens, their types and their positions become one stream."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.initial import Normal
from transformer.nn.norm import NoNorm
from transformer.nn.position import NoPosition
from transformer.ops.linear import unembed
from transformer.ops.placement import constrain
from transformer.spec import Count, Natural, Rate, Spec


class Embedding(Spec):
    """norm(scale * token + type + position), then dropout.

    vocab: V. width: D. types: how many token types (Devlin 2019 §3), 0 for none. scale: of the
    token vectors (sqrt(D) in Vaswani 2017 §3.4). dropout: rate on the sum.
    init, position_init: of the token and type tables, and of learned positions.
    """

    vocab: Count
    width: Count
    types: Natural = 0
    position: NoPosition = NoPosition()
    scale: float = 1.0
    norm: Spec = NoNorm()
    dropout: Rate = 0.0
    init: Spec = Normal()
    position_init: Spec | None = None


class EmbeddingModule(nn.Module):
    """Owns tokens [V,D], types [types,D], positions [length,D] and the norm."""

    spec: Embedding

    def setup(self):
        s = self.spec
        self.tokens = self.param("tokens", s.init(1), (s.vocab, s.width))
        if s.types:
            self.types = self.param("types", s.init(1), (s.types, s.width))
        shape = s.position.table(s.width)
        self.positions = shape and self.param("positions", (s.position_init or s.init)(1), shape)
        self.norm = s.norm.build("norm")

    def __call__(self, tokens_BT, types_BT, ctx):
        """tokens_BT, types_BT: ids [B, T], types may be None (all 0). -> [B, T, D]"""
        s, dtype = self.spec, jnp.dtype(ctx.run.dtype)
        x_BTD = constrain(self.tokens, "V.")[tokens_BT].astype(dtype) * s.scale
        if s.types:
            types_BT = jnp.zeros_like(tokens_BT) if types_BT is None else types_BT
            x_BTD = x_BTD + self.types[types_BT].astype(dtype)
        x_BTD = self.norm(s.position(x_BTD, ctx.i_BT, self.positions))
        return constrain(ctx.drop(x_BTD, s.dropout, 0), "BTD")

    def logits(self, x_BTD):
        """Scores of every token by the transposed table (Press & Wolf 2017). -> [B, T, V]"""
        return constrain(unembed(x_BTD, self.tokens.astype(x_BTD.dtype)), "BTV")
