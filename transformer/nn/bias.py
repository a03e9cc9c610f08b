"""Positions as a bias of the attention scores, owned by a stack and shared by all its layers."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from transformer.error import UserError
from transformer.nn.initial import Normal
from transformer.ops.bias import bucket
from transformer.ops.placement import constrain
from transformer.spec import Count, Spec


FARTHEST = 2**20  # tokens: the buckets are a table with an entry for each distance


class RelativeBias(Spec):
    """One learned number for each head and bucket of distances (Raffel 2020 §2.1).

    heads: H of every self-attention in the stack. buckets, distance, causal: see `ops.bias.bucket`.
    """

    heads: Count
    buckets: Count = 32
    distance: Count = 128  # tokens
    causal: bool = False
    init: Spec = Normal()

    def check(self):
        exact = self.buckets // (2 if self.causal else 4)
        if exact < 1 or self.distance <= exact:
            raise UserError(f"RelativeBias(buckets={self.buckets}, distance={self.distance}): the "
                            f"first {exact} distances have buckets of their own; give more "
                            "buckets, or a larger distance")
        if self.distance > FARTHEST:
            raise UserError(f"RelativeBias.distance is {self.distance}, but it must be at most "
                            f"{FARTHEST:,} tokens")

    def build(self, name: str):
        return RelativeBiasModule(self, name=name)


class RelativeBiasModule(nn.Module):
    """Owns table [buckets, H]."""

    spec: RelativeBias

    @nn.compact
    def __call__(self, i_BT, j_BS):
        """-> float32 [B or 1, H, T, S]"""
        s = self.spec
        table = self.param("table", s.init(1), (s.buckets, s.heads))
        bias_BTSH = table[bucket(i_BT, j_BS, s.buckets, s.distance, s.causal)]
        # positions of one row stand for all rows: that dimension is never split
        letters = ".HTS" if bias_BTSH.shape[0] == 1 else "BHTS"
        return constrain(jnp.moveaxis(bias_BTSH, 3, 1), letters)
