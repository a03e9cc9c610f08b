"""Random order without state: any element of any epoch's permutation, from numbers alone.

Nothing here depends on a library's generator, so the order of a run outlives its libraries.
"""

from __future__ import annotations

import math

import numpy as np

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
ROUNDS = 6  # 4 leave the permutations of 5 things visibly unequal


def mix(x):
    """Spreads every bit of a 64-bit number (or uint64 array) over all of them.

    A bijection; the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13).
    """
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def key(*numbers: int) -> int:
    """One 64-bit key from some integers, in their order."""
    value = 0
    for number in numbers:
        value = mix((value + number + GOLDEN) & MASK)
    return value


def permute(count: int, position: int, key: int) -> int:
    """Element `position` of the permutation of range(count) that `key` names; O(1) in memory.

    A Feistel network (Black and Rogaway 2002, section 4) on the smallest rectangle that holds
    `count`, walked on until it lands inside.
    """
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    while True:
        row, column = divmod(position, columns)
        for n in range(ROUNDS):
            row = (row + mix((column * GOLDEN ^ key + 2 * n) & MASK)) % rows
            column = (column + mix((row * GOLDEN ^ key + 2 * n + 1) & MASK)) % columns
        position = row * columns + column
        if position < count:
            return position


def shuffled(count: int, key: int) -> np.ndarray:
    """int64 [count]: a permutation of range(count), all of it at once."""
    scores = mix(np.arange(count, dtype=np.uint64) * np.uint64(GOLDEN) ^ np.uint64(key))
    return np.argsort(scores, kind="stable")


def generator(*numbers: int) -> np.random.Generator:
    """The random generator that some integers name."""
    return np.random.Generator(np.random.PCG64(key(*numbers)))
