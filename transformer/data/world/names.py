"""Invented, pronounceable words: names of things and the vocabulary of the old tongue.

A word says nothing about what it names: the letters are drawn before the facts and apart from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

_ONSETS = "b br d dr h k l m n p r s t th tr v w".split()
_INNER = "dl dr ldr lk lm lth mr nk nv rth thr vr".split()
_VOWELS = "a e i o u".split()
_CODAS = "l m n rn s sk th".split()


def name(rng: Random) -> str:
    """Two syllables, the last one closed, capitalised: `Bralin`."""
    sounds = (_ONSETS, _VOWELS, _INNER, _VOWELS, _CODAS)
    return "".join(rng.choice(letters) for letters in sounds).capitalize()


def word(rng: Random) -> str:
    """Two or three open syllables in small letters, so never mistaken for a name: `lumeka`."""
    syllables = rng.choice((2, 2, 3))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))


def invent(rng: Random, count: int, make, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """`count` words drawn by `make`, none the beginning of another nor, in small letters, `taken`.

    No word being the beginning of another lets a text be cut back into its words in one way only.
    """
    taken, heads, words = {t.lower() for t in taken}, set(), []
    while len(words) < count:
        new = make(rng)
        begins = {new[:n] for n in range(1, len(new) + 1)}
        if new in heads or new.lower() in taken or any(b in words for b in begins):
            continue
        heads |= begins
        words.append(new)
    return tuple(words)
