"""Which positions of a row are masked: single tokens, whole words, n-grams or spans of words.

Each unit has `pick(row, quota, rng) -> (positions [k], groups [k])` with k <= quota distinct
positions in rising order. What shares a group number is replaced alike.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from transformer.error import UserError
from transformer.spec import Count, Spec


@dataclasses.dataclass(frozen=True)
class Row:
    """tokens, segments [T]; allowed [T]: may be masked; starts [V]: the piece begins a word."""

    tokens: np.ndarray
    segments: np.ndarray
    allowed: np.ndarray
    starts: np.ndarray

    def words(self) -> list[np.ndarray]:
        """The positions of each word. A word ends at a special piece and with its document too."""
        positions = np.flatnonzero(self.allowed)
        begins = self.starts[self.tokens[positions]]
        begins[1:] |= _gaps(self, positions)
        return np.split(positions, np.flatnonzero(begins[1:]) + 1) if len(positions) else []


class SingleTokens(Spec):
    """Tokens one by one (Devlin 2019 §3.1)."""

    def pick(self, row: Row, quota: int, rng: np.random.Generator):
        positions = np.sort(rng.permutation(np.flatnonzero(row.allowed))[:quota])
        return positions, np.arange(len(positions))


class WholeWords(Spec):
    """All tokens of a word or none; each is replaced on its own (whole-word release of BERT).

    Words are taken in random order while they fit, so a row may stay a little below its quota.
    """

    def pick(self, row: Row, quota: int, rng: np.random.Generator):
        words = row.words()
        taken: list[int] = []
        for n in rng.permutation(len(words)):
            if len(taken) + len(words[n]) <= quota:
                taken.extend(words[n])
            if len(taken) == quota:
                break
        return np.sort(np.array(taken, np.int64)), np.arange(len(taken))


class NGrams(Spec):
    """Runs of n = 1 to `longest` whole words, P(n) ~ 1/n (Lan 2020 §4.1).

    Each token is replaced on its own. As in the authors' code, words are visited in random order, a
    run is shortened word by word until it fits the quota, and one that meets a run taken before is
    passed over. Unlike there, a run ends at a special piece and with its document.
    """

    longest: Count = 3

    def lengths(self) -> np.ndarray:
        """P(length = 1 .. longest)."""
        falling = 1 / np.arange(1, self.longest + 1)
        return falling / falling.sum()

    def pick(self, row: Row, quota: int, rng: np.random.Generator):
        words, total = row.words(), np.cumsum(self.lengths())
        taken: set[int] = set()
        for first in rng.permutation(len(words)):
            if len(taken) >= quota:
                break
            longest = _drawn(total, rng)
            runs = (_run(row, words[first:first + n]) for n in range(longest, 0, -1))
            run = next((run for run in runs if len(taken) + len(run) <= quota), [])
            if taken.isdisjoint(run):
                taken.update(run)
        return np.array(sorted(taken), np.int64), np.arange(len(taken))


class WordSpans(Spec):
    """Runs of whole words, each replaced as one (Joshi 2020 §3.1).

    The length in words is geometric with `p`, cut at `longest` and normalised: 3.8 on average with
    the defaults. The last span is cut where the quota is full. As in the authors' code, spans that
    meet or touch are one.
    """

    p: float = 0.2
    longest: Count = 10

    def check(self):
        if not 0 < self.p < 1:
            raise UserError(f"WordSpans.p is {self.p}, but it must lie between 0 and 1")

    def lengths(self) -> np.ndarray:
        """P(length = 1 .. longest)."""
        falling = self.p * (1 - self.p) ** np.arange(self.longest)
        return falling / falling.sum()

    def pick(self, row: Row, quota: int, rng: np.random.Generator):
        words, total = row.words(), np.cumsum(self.lengths())
        owner = {position: n for n, word in enumerate(words) for position in word}
        taken: set[int] = set()
        for anchor in rng.permutation(list(owner)):
            if len(taken) >= quota:
                break
            if anchor not in taken:
                run = _run(row, words[owner[anchor]:][:_drawn(total, rng)])
                taken.update([p for p in run if p not in taken][:quota - len(taken)])
        positions = np.array(sorted(taken), np.int64)
        return positions, runs(row, positions)


def runs(row: Row, positions: np.ndarray) -> np.ndarray:
    """int64 [k]: the number of the run that each position lies in; positions rise."""
    numbers = np.cumsum(_gaps(row, positions), dtype=np.int64)
    return np.concatenate([[0], numbers])[:len(positions)]


def _drawn(total: np.ndarray, rng: np.random.Generator) -> int:
    """A length from its cumulative distribution."""
    return 1 + int(np.searchsorted(total[:-1], rng.random(), side="right"))


def _run(row: Row, words: list[np.ndarray]) -> list[int]:
    """The positions of these words up to the first gap: a special piece or another document."""
    positions = np.concatenate(words)
    gap = _gaps(row, positions)
    return positions[:int(np.argmax(gap)) + 1 if gap.any() else None].tolist()


def _gaps(row: Row, positions: np.ndarray) -> np.ndarray:
    """Whether a special piece, another token or a new document parts each position and the next."""
    return (np.diff(positions) != 1) | (np.diff(row.segments[positions]) != 0)
