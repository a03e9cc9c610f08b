"""Norms as specs; the arithmetic is in `ops.norm`."""

from __future__ import annotations

from flax import linen as nn

from transformer.ops.norm import layer_norm, rms_norm
from transformer.spec import Spec


class LayerNorm(Spec):
    """Ba 2016. eps: added to the variance; bias: whether there is a shift."""

    eps: float = 1e-5
    bias: bool = True

    def build(self, name: str):
        return NormModule(self, name=name)

    def __call__(self, x, scale, shift):
        return layer_norm(x, scale, shift, self.eps)


class RMSNorm(Spec):
    """Zhang & Sennrich 2019. eps: added to the mean square. offset: added to the scale, which then
    begins that much lower (Gemma's code: 1)."""

    eps: float = 1e-6
    offset: float = 0.0
    bias = False

    def build(self, name: str):
        return NormModule(self, name=name)

    def __call__(self, x, scale, shift):
        return rms_norm(x, scale + self.offset if self.offset else scale, self.eps)


class NoNorm(Spec):
    """The identity, without parameters."""

    def build(self, name: str):
        return lambda x: x


class NormModule(nn.Module):
    """Owns `scale` [D] and, if the spec says so, `shift` [D]."""

    spec: Spec

    @nn.compact
    def __call__(self, x):
        D = x.shape[-1:]
        first = 1.0 - getattr(self.spec, "offset", 0.0)
        scale = self.param("scale", nn.initializers.constant(first), D)
        shift = self.param("shift", nn.initializers.zeros, D) if self.spec.bias else None
        return self.spec(x, scale, shift)
