"""Epochs that differ in their number of rows: where a row of the endless stream lies."""

from __future__ import annotations

import bisect
import functools
import threading
from collections.abc import Callable

import numpy as np

HELD = 3  # tables in memory: the epoch that is drawn from, the one before, and that in order


class Epochs:
    """Plans of epochs, made when they are asked for. Threads may share it.

    Args:
      plan: (epoch, seed) -> the table of an epoch.
      count: table -> its rows.
    """

    def __init__(self, plan: Callable[[int, int], np.ndarray], count: Callable[[np.ndarray], int]):
        self.table, self._count = functools.lru_cache(HELD)(plan), count
        self._starts: dict[int, list[int]] = {}  # seed -> first row of each epoch
        self._lock = threading.Lock()

    def find(self, number: int, seed: int) -> tuple[np.ndarray, int, int]:
        """(table, epoch, place in it) of row `number`; the epochs before it are planned too."""
        with self._lock:
            starts = self._starts.setdefault(seed, [0])
            while number >= starts[-1]:
                starts.append(starts[-1] + self._count(self.table(len(starts) - 1, seed)))
            epoch = bisect.bisect_right(starts, number) - 1
            return self.table(epoch, seed), epoch, number - starts[epoch]
