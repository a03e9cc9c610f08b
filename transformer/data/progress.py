"""A line on standard error that says how far a long piece of work on text has come."""

from __future__ import annotations

import sys
import time

EVERY = 0.5  # seconds between two lines on a terminal
EVERY_LOGGED = 30.0  # seconds, where the output is kept
QUIET = 2.0  # seconds; work that takes less is not worth a line


class Progress:
    """Shows totals of {"tokens", "documents", "bytes"} and the rate since it was made."""

    def __init__(self, what: str, totals: dict[str, int], size: int | None = None):
        self._what, self._size = what, size  # size: bytes expected in all, if known
        self._first, self._start = totals["bytes"], time.monotonic()
        self._shown = self._start
        self._terminal = sys.stderr.isatty()

    def show(self, totals: dict[str, int]) -> None:
        """Prints where the work is, if it is time to."""
        now = time.monotonic()
        if now - self._shown >= (EVERY if self._terminal else EVERY_LOGGED):
            self._shown = now
            share = f"{min(totals['bytes'] / self._size, 1):4.0%}  " if self._size else ""
            self._print(f"{share}{self._line(totals)}", "\r" if self._terminal else "\n")

    def end(self, totals: dict[str, int], where: str) -> None:
        """Prints the totals of the finished work, unless it took no time."""
        if time.monotonic() - self._start > QUIET:
            self._print(f"{self._line(totals)}, {totals['documents']:,} documents {where}", "\n")

    def _line(self, totals: dict[str, int]) -> str:
        seconds = time.monotonic() - self._start
        rate = (totals["bytes"] - self._first) / 1e6 / max(seconds, 1e-9)
        return (f"{totals['bytes'] / 1e6:,.1f} MB, {totals['tokens'] / 1e6:,.2f} M tokens, "
                f"{rate:.1f} MB/s")

    def _print(self, text: str, end: str) -> None:
        print(f"{self._what}: {text}", end="\x1b[K" + end if self._terminal else end,
              file=sys.stderr, flush=True)
