"""How fast a run goes: tokens per second, share of the peak, and where the time of a step went."""

from __future__ import annotations

import time


class Meter:
    """Averages over the steps since it was last read.

    flops: of one step; peak: FLOP/s of all devices; None where unknown, and `mfu` is then None.
    """

    def __init__(self, flops: float | None, peak: float | None):
        self.flops, self.peak = flops, peak
        self.skip()

    def skip(self) -> None:
        """Forgets the time since the last step: it was spent on something else."""
        self._since = time.perf_counter()
        self._steps, self._waited = 0, 0.0

    def add(self, waited: float) -> None:
        """One step that waited so many seconds for its data."""
        self._steps += 1
        self._waited += waited

    def read(self, tokens: float) -> dict[str, float | None]:
        """tokens_per_second, mfu, seconds_data and seconds_step per step; starts anew.

        tokens: that were read in these steps.
        """
        seconds, steps = time.perf_counter() - self._since, max(self._steps, 1)
        speed = steps / max(seconds, 1e-9)  # steps per second
        known = self.flops and self.peak
        found = {"tokens_per_second": tokens / max(seconds, 1e-9),
                 "mfu": self.flops * speed / self.peak if known else None,
                 "seconds_data": self._waited / steps, "seconds_step": seconds / steps}
        self.skip()
        return found
