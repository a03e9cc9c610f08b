"""Choices and their probabilities: one grammar, carried out forwards and backwards.

A grammar is a function that calls `choose` and `put`. A `Writer` draws the choices and keeps the
text; a `Reader` is given the text and finds the choices. What the grammar says beyond its choices
follows from the facts, so a text costs exactly the sum of the -log p of its choices. That sum is
the entropy floor if no text has two derivations, which `derivations` decides by trying them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

_LOG = [0.0] + [math.log(n) for n in range(1, 4096)]


class Derivation(NamedTuple):
    """The options taken, in order, and the nats that taking them costs."""

    taken: tuple[int, ...]
    nats: float


class Hand(Protocol):
    """What a grammar writes with."""

    def choose(self, options: Sequence[str], weights: Sequence[float] | None = None) -> int:
        """The number of one option, which becomes part of the text; equally likely by default.

        Weights sum to 1.
        """

    def put(self, text: str) -> None:
        """Adds a text that is settled by the facts and the choices so far."""


class Writer:
    """Draws every choice from `rng`."""

    def __init__(self, rng: Random):
        self._draw, self._pieces, self._taken, self._nats = rng.random, [], [], 0.0

    def choose(self, options, weights=None):
        n, nats = _drawn(self._draw(), len(options), weights)
        self._nats += nats
        self._taken.append(n)
        self._pieces.append(options[n])
        return n

    def put(self, text):
        self._pieces.append(text)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def derivation(self) -> Derivation:
        return Derivation(tuple(self._taken), self._nats)


def _drawn(point: float, count: int, weights) -> tuple[int, float]:
    """The option whose share of [0, 1) holds `point`, and its cost in nats."""
    if weights is None:
        return int(point * count), _LOG[count]
    n = 0
    while point >= weights[n] and n < count - 1:
        point -= weights[n]
        n += 1
    return n, -math.log(weights[n])


class _Mismatch(Exception):
    """The choices made so far cannot lead to the text."""


class Reader:
    """Follows `text`: takes the given choices first, then at each choice the first that fits.

    The other options that fit are left in `untried`, each with the choices before it.
    """

    def __init__(self, text: str, given: tuple[int, ...] = ()):
        self._text, self._given, self._at = text, given, 0
        self._taken, self._nats, self.untried = [], 0.0, []

    def choose(self, options, weights=None):
        text, at, before = self._text, self._at, len(self._taken)
        if before < len(self._given):
            n = self._given[before]
        else:
            fits = [n for n, option in enumerate(options) if text.startswith(option, at)]
            if not fits:
                raise _Mismatch
            n = fits[0]
            self.untried += [(*self._taken, other) for other in fits[1:]]
        self._nats += _LOG[len(options)] if weights is None else -math.log(weights[n])
        self._taken.append(n)
        self._at += len(options[n])
        return n

    def put(self, text):
        if not self._text.startswith(text, self._at):
            raise _Mismatch
        self._at += len(text)

    @property
    def derivation(self) -> Derivation:
        if self._at < len(self._text):
            raise _Mismatch
        return Derivation(tuple(self._taken), self._nats)


def derivations(grammar: Callable[[Hand], None], text: str) -> list[Derivation]:
    """Every derivation of the text; the search is complete, so a list of one proves uniqueness."""
    found, untried = [], [()]
    while untried:
        reader = Reader(text, untried.pop())
        try:
            grammar(reader)
            found.append(reader.derivation)
        except _Mismatch:
            pass
        untried += reader.untried
    return found
