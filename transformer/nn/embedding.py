"""The input: tokens, their types and their positions become one stream."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from transformer.error import UserError
from transformer.nn.initial import Normal
from transformer.nn.norm import NoNorm
from transformer.nn.position import NoPosition
from transformer.ops.linear import linear
from transformer.ops.norm import lift
from transformer.ops.placement import constrain
from transformer.ops.unscored import Unscored
from transformer.spec import Count, Natural, Rate, Spec


class Embedding(Spec):
    """norm(scale * token + type + position), then dropout, then a projection where there is a rank.

    vocab: V. width: D. rank: R, the width of the tables and of the norm, from where a linear map
    leads to D (Lan 2020 §3.1); None for D itself and no map. types: how many token types (Devlin
    2019 §3), 0 for none. scale: of the token vectors (sqrt(D) in Vaswani 2017 §3.4). dropout: rate
    on the sum. init, position_init, project_init: of the token and type tables, of learned
    positions and of the map; init by default.
    """

    vocab: Count
    width: Count
    rank: Count | None = None
    types: Natural = 0
    position: NoPosition = NoPosition()
    scale: float = 1.0
    norm: Spec = NoNorm()
    dropout: Rate = 0.0
    init: Spec = Normal()
    position_init: Spec | None = None
    project_init: Spec | None = None


ALL = ("tokens", "types", "positions", "norm")


class EmbeddingModule(nn.Module):
    """Owns tokens [V,R], types [types,R], positions [length,R], the norm, project [R,D] and its
    bias; but for the parts that it borrows from a lender."""

    spec: Embedding
    lender: EmbeddingModule | None = None
    borrows: tuple[str, ...] = ()

    def setup(self):
        s, width = self.spec, self.spec.rank or self.spec.width
        shape = s.position.table(width)
        makers = {
            "tokens": lambda: self.param("tokens", s.init(1), (s.vocab, width)),
            "types": lambda: s.types and self.param("types", s.init(1), (s.types, width)),
            "positions": lambda: shape and self.param(
                "positions", (s.position_init or s.init)(1), shape),
            "norm": lambda: s.norm.build("norm"),
        }
        self.tokens, self.types, self.positions, self.norm = (
            getattr(self.lender, name) if name in self.borrows else makers[name]() for name in ALL)
        if s.rank:
            init = s.project_init or s.init
            self.project = self.param("project", init(1), (s.rank, s.width))
            self.project_bias = self.param("project_bias", nn.initializers.zeros, (s.width,))

    def __call__(self, tokens_BT, types_BT, ctx):
        """tokens_BT, types_BT: ids [B, T], types may be None (all 0). -> [B, T, D]"""
        s, dtype = self.spec, jnp.dtype(ctx.run.dtype)
        x_BTD = constrain(self.tokens, "V.")[tokens_BT].astype(dtype) * s.scale
        if s.types:
            types_BT = jnp.zeros_like(tokens_BT) if types_BT is None else types_BT
            x_BTD = x_BTD + constrain(self.types, "..")[types_BT].astype(dtype)
        x_BTD = self.norm(s.position(x_BTD, ctx.i_BT, self.positions))
        x_BTD = ctx.drop(x_BTD, s.dropout, 0)
        if s.rank:
            x_BTD = linear("btr,rd->btd", x_BTD, self.project)
            x_BTD = x_BTD + lift(self.project_bias, 3).astype(dtype)
        return constrain(x_BTD, "BTD")

    def scores(self, x_BTD, bias_V=None, letters="BTV"):
        """Scores of every token by the transposed table (Press & Wolf 2017), of a stream as wide as
        the table. letters: of the logits. -> Unscored"""
        own, D = self.tokens.shape[1], x_BTD.shape[-1]
        if D != own:
            raise UserError(f"the head reads the token table, whose rows have {own} dimensions, "
                            f"but the stream has {D}; use Untied, or an embedding without a rank")
        return Unscored(x_BTD, constrain(self.tokens, "V."), bias_V, letters=letters)
