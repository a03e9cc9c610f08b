"""Positions: what the embedding adds, and what attention rotates."""

from __future__ import annotations

from transformer.error import UserError
from transformer.ops.rotary import rotate
from transformer.ops.sinusoid import sinusoid
from transformer.spec import Count, Spec


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
    """A table of `length` rows that is trained (Gehring 2017 §3.1)."""

    length: Count

    def table(self, width: int):
        return self.length, width

    def limit(self):
        return self.length

    def __call__(self, x_BTD, i_BT, table):
        return x_BTD + table[i_BT].astype(x_BTD.dtype)


class Sinusoidal(NoPosition):
    """Sines and cosines of fixed periods (Vaswani 2017 §3.5)."""

    def __call__(self, x_BTD, i_BT, table):
        if x_BTD.shape[-1] % 2:
            raise UserError(f"sinusoidal positions pair the dimensions of the stream, but its "
                            f"width is {x_BTD.shape[-1]}; use an even width")
        return x_BTD + sinusoid(i_BT, x_BTD.shape[-1]).astype(x_BTD.dtype)


class Rotary(Spec):
    """Rotation of queries and keys (Su 2021). base: the longest period over 2 pi, in tokens."""

    base: float = 10_000.0

    def __call__(self, x_BTHK, i_BT):
        if x_BTHK.shape[-1] % 2:
            raise UserError(f"rotary positions pair the dimensions of a head, but head_dim is "
                            f"{x_BTHK.shape[-1]}; use an even head_dim")
        return rotate(x_BTHK, i_BT, self.base)
