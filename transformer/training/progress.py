"""The progress line: step, loss, speed, share of the device's peak, time left."""

from __future__ import annotations

import math
import shutil
import sys
import time

_BETWEEN = 10.0  # seconds between plain lines, where stderr is not a terminal


class Progress:
    """Shows where a run of `steps` stands.

    On a terminal one line is rewritten; elsewhere (a file, a batch system) plain lines appear at
    most every ten seconds, the first and the last step always.
    """

    def __init__(self, steps: int, stream=None, clock=time.monotonic):
        self.steps, self.clock = steps, clock
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self._first: tuple[int, float] | None = None
        self._shown, self._last = -math.inf, None

    def show(self, step: int, loss: float, tokens_per_second: float | None = None,
             mfu: float | None = None) -> None:
        """The state after `step` steps. mfu: fraction of the peak, None where unknown."""
        now = self.clock()
        if self._first is None:  # the first step has compiled: it says nothing about the others
            self._first = step, now
        self._last = line(step, self.steps, loss, tokens_per_second, mfu, self._left(step, now))
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[2K" + self._last[:width])
        elif now - self._shown >= _BETWEEN or step >= self.steps:
            self.stream.write(self._last + "\n")
            self._shown = now
        self.stream.flush()

    def message(self, text: str) -> None:
        """A line of its own above the progress line."""
        again = self._last if self.live and self._last else ""
        self.stream.write(("\r\x1b[2K" if self.live else "") + text + "\n" + again)
        self.stream.flush()

    def close(self) -> None:
        """Ends the line, so that what follows starts on one of its own."""
        if self.live and self._last:
            self.stream.write("\n")
            self.stream.flush()
        self._last = None

    def _left(self, step: int, now: float) -> float | None:
        start, since = self._first
        return (now - since) / (step - start) * (self.steps - step) if step > start else None


def number(value: float) -> str:
    """Four places, or three digits and an exponent where that would be long."""
    return f"{value:,.4f}" if abs(value) < 1e6 else f"{value:.3g}"


def line(step: int, steps: int, loss: float, tokens_per_second: float | None,
         mfu: float | None, left: float | None) -> str:
    """The text of the progress line; what is unknown is left out."""
    parts = [f"step {step:,}/{steps:,}", f"loss {loss:.4f}"]
    if tokens_per_second is not None:
        parts.append(f"{tokens_per_second:,.0f} tokens/s")
    if mfu is not None:
        parts.append(f"MFU {100 * mfu:.1f} %")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Like 45s, 3m20s, 2h05m or 3d04h."""
    whole = round(seconds)
    units = (86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")
    for size, name, part, small in units:
        if whole >= size:
            return f"{whole // size}{name}{whole % size // part:02d}{small}"
    return f"{whole}s"
