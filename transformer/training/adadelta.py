"""Adadelta, with which the first attention models were trained."""

from __future__ import annotations

import optax

from transformer.spec import Rate
from transformer.training.optimizer import Optimizer


class Adadelta(Optimizer):
    """Zeiler 2012: steps as large as recent steps were, so that the learning rate is 1.

    rho: decay of both running means of squares, of gradients and of steps. eps: added to each.
    scale: of the gradients, after they are clipped. Beside eps their size matters: that of a
      sentence's loss is that of a token's times its tokens.
    """

    rho: Rate = 0.95
    eps: float = 1e-6
    scale: float = 1.0

    def direction(self):
        return optax.chain(optax.scale(self.scale), optax.scale_by_adadelta(self.rho, self.eps))
