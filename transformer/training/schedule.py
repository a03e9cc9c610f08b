"""Learning rates as functions of the number of updates already made.

One reading rule for all of them: `schedule(n)` is the rate of the update that follows n others, so
the first update reads `schedule(0)`. Where a recipe reads its counter before moving it (BERT,
ELECTRA, GPT-1) the first rate is 0; where it reads it afterwards (Noam) the formula uses n + 1.

A schedule has no state: a resumed run follows the schedule of its config, never a restored one.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from transformer.error import UserError
from transformer.spec import Count, Spec


class Schedule(Spec):
    """A callable `step -> learning rate`: int or integer array in, fp32 array of its shape out."""

    def __call__(self, step) -> jax.Array:
        raise NotImplementedError

    def check(self):
        for name in ("peak", "warmup", "steps", "scale", "final"):
            if getattr(self, name, 0) < 0:
                raise UserError(f"{type(self).__name__}.{name} is {getattr(self, name)}, but it "
                                "cannot be negative")
        if hasattr(self, "steps") and self.steps <= getattr(self, "warmup", 0):
            raise UserError(f"{type(self).__name__}: warmup ({self.warmup}) must be less than "
                            f"steps ({self.steps})")


def _float(step) -> jax.Array:
    return jnp.asarray(step).astype(jnp.float32)


def _rise(step, warmup: int) -> jax.Array:
    """min(1, (n + 1) / (warmup + 1)): never 0, and exactly 1 from n = warmup on."""
    return jnp.minimum(1.0, (_float(step) + 1) / (warmup + 1))


class Constant(Schedule):
    """`peak`, reached over `warmup` updates."""
    peak: float
    warmup: int = 0

    def __call__(self, step):
        return self.peak * _rise(step, self.warmup)


class WarmupCosine(Schedule):
    """Linear rise over `warmup` updates, half a cosine down to `final` at `steps`, then `final`.

    `final` is a learning rate, not a fraction of the peak. Warmup as in nanoGPT.
    """
    peak: float
    warmup: int
    steps: int
    final: float = 0.0

    def check(self):
        super().check()
        if self.final > self.peak:
            raise UserError(f"WarmupCosine.final ({self.final}) is above its peak ({self.peak}); "
                            "final is a learning rate, not a fraction")

    def __call__(self, step):
        part = (_float(step) - self.warmup) / (self.steps - self.warmup)
        fall = 0.5 * (1 + jnp.cos(math.pi * jnp.clip(part, 0, 1)))
        down = self.final + (self.peak - self.final) * fall
        return jnp.where(_float(step) < self.warmup, self.peak * _rise(step, self.warmup), down)


class WarmupLinear(Schedule):
    """BERT: warmup replaces the decayed rate, so the rate drops a little where warmup ends.

    n < warmup: peak * n / warmup; after: peak * (1 - n / steps); never below 0.
    """
    peak: float
    warmup: int
    steps: int

    def __call__(self, step):
        n = _float(step)
        up, down = n / max(self.warmup, 1), jnp.maximum(1 - n / self.steps, 0)
        return self.peak * jnp.where(n < self.warmup, up, down)


class WarmupTimesLinear(Schedule):
    """ELECTRA, and GPT-1's fine-tuning `warmup_linear`: the product of rise and fall.

    peak * (1 - n / steps) * min(1, n / warmup); never below 0.
    """
    peak: float
    warmup: int
    steps: int

    def __call__(self, step):
        n = _float(step)
        up = jnp.minimum(n / self.warmup, 1) if self.warmup else 1.0
        return self.peak * jnp.maximum(1 - n / self.steps, 0) * up


class GPT1Cosine(Schedule):
    """GPT-1's pretraining `warmup_cosine`: the cosine is not re-based where warmup ends.

    x = n / steps. n <= warmup: peak * n / warmup; after: peak * (1 + cos(pi x)) / 2.
    """
    peak: float
    warmup: int
    steps: int

    def __call__(self, step):
        n = _float(step)
        fall = 0.5 * (1 + jnp.cos(math.pi * jnp.minimum(n / self.steps, 1)))
        return self.peak * jnp.where(n <= self.warmup, n / max(self.warmup, 1), fall)


class Triangle(Schedule):
    """Two straight lines: up to the peak over `warmup` updates, down to 0 at `steps`.

    RoBERTa, BART and DistilBERT. n < warmup: peak * n / warmup; after:
    peak * (steps - n) / (steps - warmup).
    """
    peak: float
    warmup: int
    steps: int

    def __call__(self, step):
        n = _float(step)
        up, down = n / max(self.warmup, 1), (self.steps - n) / (self.steps - self.warmup)
        return self.peak * jnp.where(n < self.warmup, up, jnp.maximum(down, 0))


class InverseRoot(Schedule):
    """scale / sqrt(max(n, hold)): T5 (Raffel 2020 §3.1.2) and PaLM (Chowdhery 2022 §5).

    The rates are those of Adafactor, which multiplies them by a parameter's own scale.
    """
    scale: float = 1.0
    hold: Count = 10_000

    def __call__(self, step):
        return self.scale * jnp.maximum(_float(step), self.hold)**-0.5


class Noam(Schedule):
    """Vaswani 2017 §5.3, with s = n + 1: scale * width^-0.5 * min(s^-0.5, s * warmup^-1.5)."""
    width: int
    warmup: int = 4000
    scale: float = 1.0

    def check(self):
        super().check()
        if self.width < 1 or self.warmup < 1:
            raise UserError(f"Noam: width ({self.width}) and warmup ({self.warmup}) start at 1")

    def __call__(self, step):
        s = _float(step) + 1
        return self.scale * self.width**-0.5 * jnp.minimum(s**-0.5, s * self.warmup**-1.5)
