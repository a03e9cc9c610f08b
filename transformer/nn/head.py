"""Heads: what is read off the stream.

Each is called as head(x_BTD, pooled_BD, batch, embedding, ctx).
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.initial import Normal
from transformer.nn.norm import LayerNorm
from transformer.nn.project import Projecting
from transformer.ops.activation import ACTIVATIONS, Activation
from transformer.ops.norm import lift
from transformer.ops.placement import constrain
from transformer.spec import Count, Rate, Spec


class Tied(Spec):
    """Vocabulary logits by the token table itself (Press & Wolf 2017)."""

    def build(self):
        return TiedModule(self)


class TiedModule(nn.Module):
    """Owns nothing."""

    spec: Tied

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        return embedding.logits(x_BTD)


class Untied(Spec):
    """Vocabulary logits by a matrix of its own."""

    vocab: Count
    init: Spec = Normal()

    def build(self):
        return UntiedModule(self)


class UntiedModule(Projecting):
    """Owns unembedding [D,V]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        shape = (x_BTD.shape[-1], self.spec.vocab)
        return constrain(self.project("unembedding", "btd,dv->btv", x_BTD, shape), "BTV")


class Masked(Spec):
    """Masked-token logits (Devlin 2019 §3.1): only the slots batch["masked"] [B, N] are projected.

    Without `masked` in the batch every position is read. -> [B, N or T, V]
    """

    activation: Activation = "gelu_tanh"
    norm: Spec = LayerNorm(eps=1e-12)
    init: Spec = Normal()

    def build(self):
        return MaskedModule(self)


class MaskedModule(Projecting):
    """Owns transform [D,D], norm and vocab_bias [V]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        D = x_BTD.shape[-1]
        if "masked" in batch:
            x_BTD = jnp.take_along_axis(x_BTD, batch["masked"][..., None], 1)
        h_BTD = self.project("transform", "btd,de->bte", x_BTD, (D, D), bias=(D,))
        h_BTD = self.spec.norm.build("norm")(ACTIVATIONS[self.spec.activation](h_BTD))
        bias_V = self.param("vocab_bias", nn.initializers.zeros, (embedding.spec.vocab,))
        return embedding.logits(h_BTD) + lift(bias_V, 3).astype(h_BTD.dtype)


class Pooler(Spec):
    """One vector per row: activation(dense(x at batch["pooled"])); position 0 by default."""

    activation: Activation = "tanh"
    init: Spec = Normal()

    def build(self):
        return PoolerModule(self)


class PoolerModule(Projecting):
    """Owns dense [D,D]."""

    @nn.compact
    def __call__(self, x_BTD, batch):
        D = x_BTD.shape[-1]
        h_BD = self.project("dense", "bd,de->be", read(x_BTD, batch), (D, D), bias=(D,))
        return ACTIVATIONS[self.spec.activation](h_BD)


class NoPooler(Spec):
    """The stream itself at batch["pooled"] (Radford 2018 §3.2: the extract token)."""

    def build(self):
        return read


def read(x_BTD, batch):
    """The stream at one position per row. -> [B, D]"""
    if "pooled" not in batch:
        return x_BTD[:, 0]
    return jnp.take_along_axis(x_BTD, batch["pooled"][:, None, None], 1)[:, 0]


class Classes(Spec):
    """Class logits, or one score if classes is 1, from the pooled vector. -> [B, C]"""

    classes: Count
    dropout: Rate = 0.0
    init: Spec = Normal()

    def build(self):
        return ClassesModule(self)


class ClassesModule(Projecting):
    """Owns classes [D,C]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        C = self.spec.classes
        h_BD = ctx.drop(pooled_BD, self.spec.dropout, 0)
        return self.project("classes", "bd,dc->bc", h_BD, (h_BD.shape[-1], C), bias=(C,))


class TokenClasses(Spec):
    """Class logits at every position (tagging; start and end of an answer). -> [B, T, C]"""

    classes: Count
    dropout: Rate = 0.0
    init: Spec = Normal()

    def build(self):
        return TokenClassesModule(self)


class TokenClassesModule(Projecting):
    """Owns classes [D,C]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        C = self.spec.classes
        h_BTD = ctx.drop(x_BTD, self.spec.dropout, 0)
        return self.project("classes", "btd,dc->btc", h_BTD, (h_BTD.shape[-1], C), bias=(C,))
