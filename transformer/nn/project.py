"""A linear map as an einsum over an explicitly shaped weight: no reshapes, no transposes."""

from __future__ import annotations

from flax import linen as nn

from transformer.ops.linear import linear
from transformer.ops.norm import lift
from transformer.spec import Spec


class Projecting(nn.Module):
    """Base of modules with weights. `spec` must have the field `init`."""

    spec: Spec

    def project(self, name, equation, x, shape, ins=1, bias=None, init=None):
        """einsum(equation, x, weight) + bias, in the type of x.

        Args:
          name: of the weight; the bias is `{name}_bias`.
          shape: of the weight; its first `ins` dimensions are inputs.
          bias: shape of the bias, or None for none.
          init: of the weight; the spec's own by default.
        """
        weight = self.param(name, (init or self.spec.init)(ins), shape)
        y = linear(equation, x, weight, ins)
        if bias is None:
            return y
        bias = self.param(f"{name}_bias", nn.initializers.zeros, bias)
        return y + lift(bias, y.ndim).astype(x.dtype)
