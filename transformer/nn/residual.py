"""Residual rules: how the sublayers of a block meet the stream."""

from __future__ import annotations

from transformer.ops.placement import constrain
from transformer.spec import Spec


class PreNorm(Spec):
    """x + f(norm(x)) (Radford 2019 §2.3)."""

    norm: Spec

    def __call__(self, x_BTD, layers, n: int):
        """`layers`: (name, function) of each sublayer; n: the block's number in its pattern."""
        for name, layer in layers:
            x_BTD = constrain(x_BTD + layer(self.norm.build(f"{n}_{name}_norm")(x_BTD)), "BTD")
        return x_BTD


class PostNorm(Spec):
    """norm(x + f(x)) (Vaswani 2017 §3.1)."""

    norm: Spec

    def __call__(self, x_BTD, layers, n: int):
        """As PreNorm."""
        for name, layer in layers:
            x_BTD = constrain(self.norm.build(f"{n}_{name}_norm")(x_BTD + layer(x_BTD)), "BTD")
        return x_BTD
