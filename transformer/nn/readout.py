"""Both ends of a recurrent decoder: the state it begins in, and what the heads read of it."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.initial import Glorot
from transformer.nn.project import Projecting
from transformer.ops.placement import constrain
from transformer.spec import Count, Spec


class Copied(Spec):
    """The decoder begins in the state that the encoder ended in (Sutskever 2014 §2)."""

    def build(self):
        return CopiedModule(self)


class CopiedModule(nn.Module):
    """Owns nothing."""

    spec: Copied

    def __call__(self, x_BTD, name: str):
        return x_BTD


class Projected(Spec):
    """The decoder begins in tanh(W s + b), s the encoder's last state (Bahdanau 2015 App. A.2.2).

    Each layer and each part of its state has a W of its own.
    """

    init: Spec = Glorot()

    def build(self):
        return ProjectedModule(self)


class ProjectedModule(Projecting):
    """Owns {part}_{layer} [D,D] and biases."""

    @nn.compact
    def __call__(self, x_BTD, name: str):
        D = x_BTD.shape[-1]
        y_BTD = self.project(name, "btd,de->bte", x_BTD, (D, D), bias=(D,))
        return jnp.tanh(constrain(y_BTD, "BTF"))


class Shown(Spec):
    """The heads read what the last layer shows."""

    def width(self, cell: Spec) -> int:
        """Of what the heads read."""
        return cell.width

    def build(self):
        return ShownModule(self)


class ShownModule(nn.Module):
    """Owns nothing."""

    spec: Shown

    def __call__(self, h_BTD, x_BTR, context_BTM):
        return h_BTD


class Maxout(Spec):
    """The heads read a maxout layer over state, last token and context (Bahdanau 2015 App. A.2.2).

    hidden: units, the larger of two each (Goodfellow 2013). rank: through so many the vocabulary's
    matrix is factored (Cho 2014 §4.1), None for not. init: of all its weights.
    """

    hidden: Count
    rank: Count | None = None
    init: Spec = Glorot()

    def width(self, cell: Spec) -> int:
        """As Shown."""
        return self.rank or self.hidden

    def build(self):
        return MaxoutModule(self)


class MaxoutModule(Projecting):
    """Owns state [D,F,2], token [R,F,2], context [M,F,2], their bias, and factor [F,R]."""

    @nn.compact
    def __call__(self, h_BTD, x_BTR, context_BTM):
        F, R = self.spec.hidden, self.spec.rank
        D, E = h_BTD.shape[-1], x_BTR.shape[-1]
        sum_BTFZ = self.project("state", "btd,dfz->btfz", h_BTD, (D, F, 2), bias=(F, 2))
        sum_BTFZ += self.project("token", "btr,rfz->btfz", x_BTR, (E, F, 2))
        if context_BTM is not None:
            shape = (context_BTM.shape[-1], F, 2)
            sum_BTFZ += self.project("context", "btm,mfz->btfz", context_BTM, shape)
        y_BTF = constrain(sum_BTFZ, "BTF.").max(-1)
        if R is not None:
            y_BTF = self.project("factor", "btf,fr->btr", y_BTF, (F, R))
        return constrain(y_BTF, "BTD")
