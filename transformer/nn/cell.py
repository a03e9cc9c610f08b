"""Recurrent cells as specs, and the weights of one layer; the arithmetic is in `ops.recurrent`."""

from __future__ import annotations

from flax import linen as nn

from transformer.nn.initial import Glorot, Zeros
from transformer.ops.linear import linear
from transformer.ops.norm import lift
from transformer.ops.placement import constrain
from transformer.ops.recurrent import gru, lstm
from transformer.spec import Count, Spec


class Cell(Spec):
    """Base of the cells. width: D of the state.

    init, recurrent_init, bias_init: of the weights of what comes in, of the state's own (init by
    default), and of the biases.
    """

    width: Count
    init: Spec = Glorot()
    recurrent_init: Spec | None = None
    bias_init: Spec = Zeros()


class LSTM(Cell):
    """See `ops.recurrent.lstm`."""

    gates, parts, step = 4, ("shown", "cell"), staticmethod(lstm)


class GRU(Cell):
    """See `ops.recurrent.gru`."""

    gates, parts, step = 3, ("shown",), staticmethod(gru)


def gathered(weight):
    """A weight that a loop over time uses, put together once and not at each step.

    Where its rows are sharded as well, XLA (jax 0.10) gives the loop a wrong gradient.
    """
    return constrain(weight, "." * (weight.ndim - 1) + "F")


class CellModule(nn.Module):
    """Owns input [R,Z,D], recurrent [D,Z,D], bias [Z,D], and context [M,Z,D] if there is one."""

    spec: Cell

    @nn.compact
    def __call__(self, x_TBR, context: int = 0):
        """What the input adds to the gates at all times, as one product, and the cell's step.

        context: M of what else comes in at each time, 0 for nothing.

        Returns:
          [T, B, Z, D] and (x_BZE, state, context_BM) -> state; without a context the step takes
          none.
        """
        s = self.spec
        weight = lambda name, ins, init: self.param(name, init(1), (ins, s.gates, s.width))
        x_TBZE = linear("tbr,rze->tbze", x_TBR, weight("input", x_TBR.shape[-1], s.init))
        bias_ZE = self.param("bias", s.bias_init(0), (s.gates, s.width))
        step = s.step(gathered(weight("recurrent", s.width, s.recurrent_init or s.init)))
        x_TBZE = x_TBZE + lift(bias_ZE, 4).astype(x_TBZE.dtype)
        if not context:
            return x_TBZE, step
        weight_MZE = gathered(weight("context", context, s.init))
        add = lambda x_BZE, c_BM: x_BZE + linear("bm,mze->bze", c_BM, weight_MZE)
        return x_TBZE, lambda x_BZE, state, c_BM: step(add(x_BZE, c_BM), state)
