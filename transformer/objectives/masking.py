"""Which positions of a row are masked: single tokens, whole words, or spans of words.

Each unit has `pick(row, quota, rng) -> (positions [k], groups [k])` with k <= quota distinct
positions in rising order. What shares a group number is replaced alike.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from transformer.error import UserError
from transformer.spec import Spec


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
        begins[1:] |= (np.diff(positions) != 1) | (np.diff(self.segments[positions]) != 0)
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


class WordSpans(Spec):
    """Runs of whole words, each replaced as one (Joshi 2020 §3.1).

    The length in words is geometric with `p`, cut at `longest` and normalised: 3.8 on average with
    the defaults. The last span is cut where the quota is full.
    """

    p: float = 0.2
    longest: int = 10

    def check(self):
        if not 0 < self.p < 1 or self.longest < 1:
            raise UserError(f"WordSpans(p={self.p}, longest={self.longest}): p must lie between 0 "
                            "and 1, and longest must be at least 1")

    def lengths(self) -> np.ndarray:
        """P(length = 1 .. longest)."""
        falling = self.p * (1 - self.p) ** np.arange(self.longest)
        return falling / falling.sum()

    def pick(self, row: Row, quota: int, rng: np.random.Generator):
        words, total = row.words(), np.cumsum(self.lengths())
        owner = {position: n for n, word in enumerate(words) for position in word}
        taken: dict[int, int] = {}
        for span, anchor in enumerate(rng.permutation(list(owner))):
            if len(taken) >= quota:
                break
            if anchor not in taken:
                length = 1 + int(np.searchsorted(total[:-1], rng.random(), side="right"))
                for position in _run(row, words[owner[anchor]:][:length])[:quota - len(taken)]:
                    taken.setdefault(position, span)
        positions = np.sort(np.array(list(taken), np.int64))
        return positions, np.array([taken[p] for p in positions], np.int64)


def _run(row: Row, words: list[np.ndarray]) -> list[int]:
    """The positions of these words up to the first gap: a special piece or another document."""
    positions = np.concatenate(words)
    gap = (np.diff(positions) != 1) | (np.diff(row.segments[positions]) != 0)
    return positions[:int(np.argmax(gap)) + 1 if gap.any() else None].tolist()
