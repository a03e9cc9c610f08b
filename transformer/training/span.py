"""Learning rates whose papers give their spans in tokens or in epochs, not in updates."""

from __future__ import annotations

import jax.numpy as jnp

from transformer.error import UserError
from transformer.spec import Count, Natural
from transformer.training.schedule import Schedule, WarmupCosine


class TokenCosine(Schedule):
    """GPT-3 (Brown 2020, appendix B): linear rise, then a cosine to a tenth of the peak, kept.

    batch: tokens per update. warmup, span: tokens at the end of the rise and of the cosine.
    """
    peak: float
    batch: Count
    warmup: Natural = 375_000_000
    span: Count = 260_000_000_000

    def check(self):
        super().check()
        self._in_updates()

    def __call__(self, step):
        return self._in_updates()(step)

    def _in_updates(self):
        return WarmupCosine(peak=self.peak, warmup=round(self.warmup / self.batch),
                            steps=round(self.span / self.batch), final=self.peak / 10)


class Halving(Schedule):
    """Sutskever 2014 §3.4: `peak`, and from the end of epoch `hold` on half of it, again and again.

    epoch: updates per epoch. hold: epochs at the peak. every: epochs between halvings. There,
    training ended after 7.5 epochs.
    """
    peak: float
    epoch: Count
    hold: float = 5.0
    every: float = 0.5

    def check(self):
        super().check()
        if self.hold < 0 or self.every <= 0:
            raise UserError(f"Halving: hold ({self.hold}) cannot be negative, and every "
                            f"({self.every}) must be above 0")

    def __call__(self, step):
        past = jnp.asarray(step).astype(jnp.float32) - self.hold * self.epoch
        halvings = jnp.floor(past / (self.every * self.epoch)) + 1
        return self.peak * 0.5 ** jnp.maximum(halvings, 0)
