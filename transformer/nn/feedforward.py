"""The position-wise feed-forward sublayer (Vaswani 2017 §3.3), plain or gated (Shazeer 2020)."""

from __future__ import annotations

from flax import linen as nn

from transformer.nn.initial import Normal
from transformer.nn.project import Projecting
from transformer.ops.activation import ACTIVATIONS, Activation
from transformer.ops.placement import constrain
from transformer.spec import Count, Rate, Spec


class FeedForward(Spec):
    """down(activation(up(x))), or down(activation(gate(x)) * up(x)) if gated.

    width: F. dropout: rate on the output. hidden_dropout: rate on what goes into down.
    init, out_init: of up and gate, and of down.
    """

    width: Count
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = False
    dropout: Rate = 0.0
    hidden_dropout: Rate = 0.0
    init: Spec = Normal()
    out_init: Spec | None = None

    def build(self, name: str):
        return FeedForwardModule(self, name=name)


class FeedForwardModule(Projecting):
    """Owns up and gate [D,F], down [F,D] and their biases."""

    @nn.compact
    def __call__(self, x_BTD, ctx, entry):
        s, D = self.spec, x_BTD.shape[-1]
        bias = (s.width,) if s.bias else None
        h_BTF = self.project("up", "btd,df->btf", x_BTD, (D, s.width), bias=bias)
        if s.gated:
            gate_BTF = self.project("gate", "btd,df->btf", x_BTD, (D, s.width), bias=bias)
            h_BTF = ACTIVATIONS[s.activation](gate_BTF) * h_BTF
        else:
            h_BTF = ACTIVATIONS[s.activation](h_BTF)
        h_BTF = ctx.drop(constrain(h_BTF, "BTF"), s.hidden_dropout, 1)
        y_BTD = self.project("down", "btf,fd->btd", h_BTF, (s.width, D),
                             bias=(D,) if s.bias else None, init=s.out_init or s.init)
        return ctx.drop(y_BTD, s.dropout, 0), {}
