"""Positions: what the embedding adds, and what attention rotates."""

from __future__ import annotations

import math

import jax.numpy as jnp

from transformer.error import UserError
from transformer.ops.placement import constrain
from transformer.ops.rotary import rates, rotate
from transformer.ops.sinusoid import sinusoid
from transformer.spec import Count, Natural, Positive, Spec


class NoPosition(Spec):
    """Nothing is added."""

    def table(self, width: int) -> tuple[int, int] | None:
        """Shape of the learned table, if there is one."""
        return None

    def limit(self) -> int | None:
        """The longest row this can place, in tokens; None for any."""
        return None

    def __call__(self, x_BTD, i_BT, table):
        return x_BTD


class Learned(NoPosition):
    """A table of `length` rows that is trained (Gehring 2017 §3.1).

    offset: rows before that of position 0, which nothing reads (2 in RoBERTa's and BART's code).
    """

    length: Count
    offset: Natural = 0

    def table(self, width: int):
        return self.length + self.offset, width

    def limit(self):
        return self.length

    def __call__(self, x_BTD, i_BT, table):
        return x_BTD + constrain(table, "..")[i_BT + self.offset].astype(x_BTD.dtype)


class Sinusoidal(NoPosition):
    """Sines and cosines of fixed periods (Vaswani 2017 §3.5). interleaved, length: see
    `ops.sinusoid.sinusoid` and `limit`; the formula itself has no end."""

    interleaved: bool = True
    length: Count | None = None

    def limit(self):
        return self.length

    def __call__(self, x_BTD, i_BT, table):
        if x_BTD.shape[-1] % 2:
            raise UserError(f"sinusoidal positions pair the dimensions of the stream, but its "
                            f"width is {x_BTD.shape[-1]}; use an even width")
        return x_BTD + sinusoid(i_BT, x_BTD.shape[-1], self.interleaved).astype(x_BTD.dtype)


class Unscaled(Spec):
    """The rates of rotation as they are."""

    def __call__(self, rate_K):
        return rate_K


class LinearScaling(Unscaled):
    """All rates divided by `factor`: positions are interpolated (Chen 2023 §2.3)."""

    factor: Positive

    def __call__(self, rate_K):
        return rate_K / self.factor


class Llama3Scaling(Unscaled):
    """Slow rates divided by `factor`, fast ones kept, those between them blended (Dubey 2024).

    length: of the rows before scaling, in tokens. Rates that turn fewer than `low` times in that
    many tokens are slow, those that turn more than `high` times are fast.
    """

    factor: Positive = 8.0
    low: float = 1.0
    high: float = 4.0
    length: Count = 8192

    def check(self):
        if self.low >= self.high:
            raise UserError(f"Llama3Scaling: low ({self.low}) must be less than high ({self.high})")

    def __call__(self, rate_K):
        turns = self.length * rate_K / (2 * math.pi)
        fast = jnp.clip((turns - self.low) / (self.high - self.low), 0, 1)
        return (1 - fast) * rate_K / self.factor + fast * rate_K


class Rotary(Spec):
    """Rotation of queries and keys (Su 2021).

    base: the longest period over 2 pi, in tokens. fraction: share of a head's dimensions that turn,
    the first ones. scaling: of the rates.
    """

    base: float = 10_000.0
    fraction: float = 1.0
    scaling: Unscaled = Unscaled()

    def check(self):
        if not 0 < self.fraction <= 1:
            raise UserError(f"Rotary.fraction is {self.fraction}, but it must be above 0 and at "
                            "most 1")

    def __call__(self, x_BTHK, i_BT):
        width = int(x_BTHK.shape[-1] * self.fraction)
        if width % 2 or not width:
            turned = f" at fraction {self.fraction}" if self.fraction < 1 else ""
            raise UserError(f"rotary positions pair the dimensions of a head, but head_dim is "
                            f"{width}{turned}; use an even head_dim")
        rate_K = self.scaling(rates(width, self.base))
        if width == x_BTHK.shape[-1]:
            return rotate(x_BTHK, i_BT, rate_K)
        turned = rotate(x_BTHK[..., :width], i_BT, rate_K)
        return jnp.concatenate([turned, x_BTHK[..., width:]], -1)
