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


class FirstBare(PreNorm):
    """PreNorm, but for the first sublayer, which reads the stream as it is: where the embedding has
    just been normed (Warner 2024 §2.1.1)."""

    def __call__(self, x_BTD, layers, n: int):
        """As PreNorm."""
        (_, first), *others = layers
        return super().__call__(constrain(x_BTD + first(x_BTD), "BTD"), others, n)


class ParallelNorm(Spec):
    """x + f(norm(x)) + g(norm(x)) (Wang & Komatsuzaki 2021).

    own: whether each sublayer has a norm of its own (GPT-NeoX); one for all otherwise (PaLM).
    """

    norm: Spec
    own: bool = False

    def __call__(self, x_BTD, layers, n: int):
        """As PreNorm."""
        if self.own:
            read = [self.norm.build(f"{n}_{name}_norm")(x_BTD) for name, _ in layers]
        else:
            read = [self.norm.build(f"{n}_norm")(x_BTD)] * len(layers)
        for h_BTD, (_, layer) in zip(read, layers):
            x_BTD = x_BTD + layer(h_BTD)
        return constrain(x_BTD, "BTD")


class PostNorm(Spec):
    """norm(x + f(x)) (Vaswani 2017 §3.1)."""

    norm: Spec

    def __call__(self, x_BTD, layers, n: int):
        """As PreNorm."""
        for name, layer in layers:
            x_BTD = constrain(self.norm.build(f"{n}_{name}_norm")(x_BTD + layer(x_BTD)), "BTD")
        return x_BTD
