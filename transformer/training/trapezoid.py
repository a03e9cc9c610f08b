"""A learning rate that rises, stays, and falls at the end (Warner 2024 §2.2.2)."""

from __future__ import annotations

import jax.numpy as jnp

from transformer.error import UserError
from transformer.spec import Natural
from transformer.training.schedule import Schedule


class Trapezoid(Schedule):
    """Up to the peak over `warmup` updates, there until `decay` are left, then down to 0.

    n < warmup: peak * n / warmup; the last: peak * (1 - sqrt(x)), x the share of `decay` that has
    passed (Hägele 2024 §3). Without `decay` it stays.
    """

    peak: float
    warmup: Natural
    steps: Natural
    decay: Natural

    def check(self):
        super().check()
        if self.warmup + self.decay > self.steps:
            raise UserError(f"Trapezoid: warmup ({self.warmup}) and decay ({self.decay}) are more "
                            f"than steps ({self.steps})")

    def __call__(self, step):
        n = jnp.asarray(step).astype(jnp.float32)
        up = jnp.minimum(n / self.warmup, 1) if self.warmup else 1.0
        left = jnp.clip((self.steps - n) / self.decay, 0, 1) if self.decay else jnp.ones_like(n)
        return self.peak * up * (1 - jnp.sqrt(1 - left))
