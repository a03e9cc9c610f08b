"""SpanBERT's head: a hidden token from what stands on either side of its span (Joshi 2020 §3.2)."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.head import Head
from transformer.nn.initial import Normal
from transformer.nn.norm import LayerNorm
from transformer.nn.project import Projecting
from transformer.ops.activation import ACTIVATIONS, Activation
from transformer.spec import Count, Spec


class Boundary(Head):
    """Logits of the slots `masked` [B, N] from the stream at `spans` [B, N, 2], the two tokens
    outside of each slot's span, and the slot's place in the span. -> [B, N, V]

    Without `masked` and `spans` in the batch there is a slot for each position, around nothing.

    width: of the vectors of places. longest: places in a span; what lies further is read as the
      last of them, and the objective does not score it.
    """

    reads: ClassVar[str] = "slots"
    width: Count = 200
    longest: Count = 15
    activation: Activation = "gelu"
    norm: Spec = LayerNorm(eps=1e-12)
    init: Spec = Normal()

    def build(self):
        return BoundaryModule(self)


class BoundaryModule(Projecting):
    """Owns positions [longest,P], mix [2D+P,D] and transform [D,R] with their norms, and
    vocab_bias [V]."""

    @nn.compact
    def __call__(self, x_BTD, pooled_BD, batch, embedding, ctx):
        spec, D, R = self.spec, x_BTD.shape[-1], embedding.spec.rank or x_BTD.shape[-1]
        table = self.param("positions", spec.init(1), (spec.longest, spec.width))
        places_BN = batch.get("masked", jnp.zeros(x_BTD.shape[:2], jnp.int32))
        spans_BN2 = batch.get("spans", jnp.zeros((*places_BN.shape, 2), jnp.int32))
        inside_BN = jnp.clip(places_BN - spans_BN2[..., 0] - 1, 0, spec.longest - 1)
        left_BND, right_BND = (jnp.take_along_axis(x_BTD, spans_BN2[..., side, None], 1)
                               for side in (0, 1))
        h_BNP = table[inside_BN].astype(x_BTD.dtype)
        h = jnp.concatenate([left_BND, right_BND, h_BNP], -1)
        h = self.layer("mix", h, (2 * D + spec.width, D))
        h = self.layer("transform", h, (D, R))
        bias_V = self.param("vocab_bias", nn.initializers.zeros, (embedding.spec.vocab,))
        return embedding.scores(h, bias_V, "BNV" if "masked" in batch else "BTV")

    def layer(self, name: str, h, shape):
        """norm(activation(linear(h)))."""
        h = self.project(name, "bni,io->bno", h, shape, bias=shape[1:])
        return self.spec.norm.build(f"{name}_norm")(ACTIVATIONS[self.spec.activation](h))
