"""The facts of the world: some hundreds of things, each with a value of every attribute."""

from __future__ import annotations

import functools
import itertools
from random import Random
from typing import NamedTuple

from transformer.data.world import names

SPLITS = {"train": 192, "validation": 32, "test": 96}  # things that a labelled split asks about
COUNT = sum(SPLITS.values())

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "kind": ("town", "wanderer", "beast", "herb", "tool"),
    "home": ("the north", "the south", "the east", "the west", "the isles"),
    "temper": ("gentle", "proud", "shy", "fierce", "merry"),
    "colour": ("red", "white", "black", "green", "golden"),
    "ware": ("salt", "honey", "wool", "smoke", "oil"),
}
PAIRS = tuple((a, v) for a, values in ATTRIBUTES.items() for v in values)


class Thing(NamedTuple):
    """One named thing; apart from its name, each field is a key of `ATTRIBUTES`."""

    name: str
    kind: str
    home: str
    temper: str
    colour: str
    ware: str

    def of(self, attribute: str) -> str:
        """Its value of the attribute."""
        return getattr(self, attribute)

    def shares(self, other: Thing) -> int:
        """How many attributes, its kind included, the two have the same value of."""
        return sum(a == b for a, b in zip(self[1:], other[1:]))


class Facts:
    """All things of the world of a seed.

    Every pair of a kind and a home is equally frequent; the other attributes are dealt out evenly
    and apart from each other. So nothing follows from a thing's name or its other attributes.
    """

    def __init__(self, seed: int):
        rng = Random(f"facts {seed}")
        self.names = names.invent(rng, COUNT, names.name)
        kinds, homes, *others = ATTRIBUTES.values()
        pairs = [(kind, home) for kind in kinds for home in homes]
        columns = [_deal(rng, values) for values in others]
        rows = zip(self.names, itertools.cycle(pairs), *columns)
        self.things = tuple(Thing(name, *pair, *values) for name, pair, *values in rows)
        self._having = {(a, v): tuple(t for t in self.things if t.of(a) == v) for a, v in PAIRS}

    def having(self, attribute: str, value: str) -> tuple[Thing, ...]:
        """The things with this value of the attribute."""
        return self._having[attribute, value]

    def pool(self, split: str) -> tuple[Thing, ...]:
        """The things that the labelled tasks of a split ask about; the pools are disjoint."""
        before = itertools.takewhile(lambda name: name != split, SPLITS)
        start = sum(SPLITS[name] for name in before)
        return self.things[start:start + SPLITS[split]]


def _deal(rng: Random, values: tuple[str, ...]) -> list[str]:
    column = [values[n % len(values)] for n in range(COUNT)]
    rng.shuffle(column)
    return column


@functools.cache
def facts(seed: int) -> Facts:
    """The facts of the world of this seed."""
    return Facts(seed)
