"""Heads: what is read off the stream.

Each is called as head(x_BTD, pooled_BD, batch, embedding, ctx).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.initial import Normal
from transformer.nn.norm import LayerNorm, NoNorm
from transformer.nn.project import Projecting
from transformer.ops.activation import ACTIVATIONS, Activation
from transformer.ops.placement import constrain
from transformer.ops.unscored import Unscored
from transformer.spec import Count, Rate, Spec


class Head(Spec):
    """Base. reads: what of a row it reads: every token, the slots `masked`, or one vector."""

    reads: ClassVar[Literal["tokens", "slots", "row"]] = "tokens"


class Tied(Head):
    """Vocabulary logits by the token table itself (Press & Wolf 2017).

    scale: of the stream before it (D^-1/2 in T5 and PaLM). bias: one number a token.
    """

    scale: float = 1.0
    bias: bool = False

    def build(self):
        return TiedModule(self)


class TiedModule(nn.Module):
    """Owns vocab_bias [V], if the spec says so."""

    spec: Tied

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        if self.spec.scale != 1:
            x_BTD = x_BTD * self.spec.scale
        bias_V = self.spec.bias and self.param(
            "vocab_bias", nn.initializers.zeros, (embedding.spec.vocab,))
        return embedding.scores(x_BTD, bias_V if self.spec.bias else None)


class Untied(Head):
    """Vocabulary logits by a matrix of its own."""

    vocab: Count
    init: Spec = Normal()

    def build(self):
        return UntiedModule(self)


class UntiedModule(Projecting):
    """Owns unembedding [D,V]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        table_DV = self.param("unembedding", self.spec.init(1), (x_BTD.shape[-1], self.spec.vocab))
        return Unscored(x_BTD, constrain(table_DV, ".V"), untied=True)


class Masked(Head):
    """Masked-token logits (Devlin 2019 §3.1): only the slots batch["masked"] [B, N] are projected.

    Without `masked` in the batch every position is read. -> [B, N or T, V]
    bias: of the linear map.
    """

    reads: ClassVar[str] = "slots"
    activation: Activation = "gelu_tanh"
    norm: Spec = LayerNorm(eps=1e-12)
    bias: bool = True
    init: Spec = Normal()

    def build(self):
        return MaskedModule(self)


class MaskedModule(Projecting):
    """Owns transform [D,R], to the width of the token table, norm and vocab_bias [V]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        D = x_BTD.shape[-1]
        if "masked" in batch:
            x_BTD = jnp.take_along_axis(x_BTD, batch["masked"][..., None], 1)
        R = embedding.spec.rank or D
        h_BTR = self.project("transform", "btd,dr->btr", x_BTD, (D, R),
                             bias=(R,) if self.spec.bias else None)
        h_BTR = self.spec.norm.build("norm")(ACTIVATIONS[self.spec.activation](h_BTR))
        bias_V = self.param("vocab_bias", nn.initializers.zeros, (embedding.spec.vocab,))
        return embedding.scores(h_BTR, bias_V, "BNV" if "masked" in batch else "BTV")


class Replaced(Head):
    """One logit a position: was this token replaced (Clark 2020 §2.1)? -> [B, T]"""

    activation: Activation = "gelu"
    init: Spec = Normal()

    def build(self):
        return ReplacedModule(self)


class ReplacedModule(Projecting):
    """Owns transform [D,D] and classes [D,1]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        D = x_BTD.shape[-1]
        h_BTD = self.project("transform", "btd,de->bte", x_BTD, (D, D), bias=(D,))
        h_BTD = ACTIVATIONS[self.spec.activation](h_BTD)
        return self.project("classes", "btd,dc->btc", h_BTD, (D, 1), bias=(1,))[..., 0]


class Pooler(Spec):
    """One vector per row: norm(activation(dense(x))).

    over: x is the stream at batch["pooled"] ("token"), position 0 by default, or the mean over the
    text that this token belongs to.
    """

    over: Literal["token", "mean"] = "token"
    activation: Activation = "tanh"
    norm: Spec = NoNorm()
    bias: bool = True
    init: Spec = Normal()

    def build(self):
        return PoolerModule(self)


class PoolerModule(Projecting):
    """Owns dense [D,D] and the norm."""

    @nn.compact
    def __call__(self, x_BTD, batch):
        D = x_BTD.shape[-1]
        x_BD = {"token": read, "mean": mean}[self.spec.over](x_BTD, batch)
        h_BD = self.project("dense", "bd,de->be", x_BD, (D, D),
                            bias=(D,) if self.spec.bias else None)
        return self.spec.norm.build("norm")(ACTIVATIONS[self.spec.activation](h_BD))


class NoPooler(Spec):
    """The stream itself at batch["pooled"] (Radford 2018 §3.2: the extract token)."""

    def build(self):
        return read


def read(x_BTD, batch):
    """The stream at one position per row. -> [B, D]"""
    if "pooled" not in batch:
        return x_BTD[:, 0]
    return jnp.take_along_axis(x_BTD, batch["pooled"][:, None, None], 1)[:, 0]


def mean(x_BTD, batch):
    """The mean over the text of that position, which its segment number tells. -> [B, D]"""
    if "segments" not in batch:
        return x_BTD.mean(1)
    segments_BT1 = batch["segments"][..., None]
    text_B1 = read(segments_BT1, batch)
    return x_BTD.mean(1, where=segments_BT1 == text_B1[:, None])


class Classes(Head):
    """Class logits, or one score if classes is 1, from the pooled vector. -> [B, C]"""

    reads: ClassVar[str] = "row"
    classes: Count
    dropout: Rate = 0.0
    bias: bool = True
    init: Spec = Normal()

    def build(self):
        return ClassesModule(self)


class ClassesModule(Projecting):
    """Owns classes [D,C]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        C = self.spec.classes
        h_BD = ctx.drop(pooled_BD, self.spec.dropout, 0)
        return self.project("classes", "bd,dc->bc", h_BD, (h_BD.shape[-1], C),
                            bias=(C,) if self.spec.bias else None)


class Transform(Spec):
    """norm(activation(dense(x))) at every position."""

    activation: Activation = "gelu"
    norm: Spec = NoNorm()
    bias: bool = True


class TokenClasses(Head):
    """Class logits at every position (tagging; start and end of an answer). -> [B, T, C]

    transform: of the stream before (Warner 2024), or None.
    """

    classes: Count
    transform: Transform | None = None
    dropout: Rate = 0.0
    init: Spec = Normal()

    def build(self):
        return TokenClassesModule(self)


class TokenClassesModule(Projecting):
    """Owns classes [D,C], and transform [D,D] and norm if the spec says so."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        C, before, D = self.spec.classes, self.spec.transform, x_BTD.shape[-1]
        if before is not None:
            x_BTD = self.project("transform", "btd,de->bte", x_BTD, (D, D),
                                 bias=(D,) if before.bias else None)
            x_BTD = before.norm.build("norm")(ACTIVATIONS[before.activation](x_BTD))
        h_BTD = ctx.drop(x_BTD, self.spec.dropout, 0)
        return self.project("classes", "btd,dc->btc", h_BTD, (h_BTD.shape[-1], C), bias=(C,))
