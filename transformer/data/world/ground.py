"""What every grammar stands on: the facts of a world, its tongue, and ways to bring up a thing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from transformer.data.world.choice import Hand
from transformer.data.world.facts import ATTRIBUTES, PAIRS, Thing, facts
from transformer.data.world.phrases import EPITHETS, looks, predicates
from transformer.data.world.tongue import tongue

Told = tuple[str, ...]  # attributes that a wording states
Wordings = dict[Told, tuple[str, ...]]


class Ground:
    """The world of a seed, with the texts that its documents are put together from."""

    def __init__(self, seed: int):
        self.facts, self.tongue = facts(seed), tongue(seed)
        self.things = self.facts.things
        self.entries = self.tongue.entries()
        self.marked = tuple(self.tongue.of(thing) for thing in self.things)
        self.predicates = {thing.name: predicates(thing) for thing in self.things}
        self.looks = {thing.name: looks(thing) for thing in self.things}
        self.everyone = Crowd(self.things, tuple(ATTRIBUTES))
        self.having = {
            (a, v): Crowd(self.facts.having(a, v), [b for b in ATTRIBUTES if b != a])
            for a, v in PAIRS
        }
        self.tables: dict[tuple[Hashable, ...], Table] = {}

    def thing(self, hand: Hand, but: Sequence[Thing] = ()) -> Thing:
        """Names one of all things, but none of `but`."""
        return self.things[hand.choose(self.facts.names)] if not but else named(
            hand, [t for t in self.things if t not in but])


def named(hand: Hand, things: Sequence[Thing]) -> Thing:
    """Names one of the things."""
    return things[hand.choose([thing.name for thing in things])]


class Crowd:
    """Some things, from which one at a time is drawn evenly and brought up with an epithet.

    The epithet tells a value of one of the attributes, all of them equally likely.
    """

    def __init__(self, things: Sequence[Thing], attributes: Sequence[str]):
        self._attributes, self._having = attributes, {}
        for thing in things:
            for words in self._epithets(thing):
                self._having.setdefault(words, []).append(thing)

    def mention(self, hand: Hand, but: Sequence[Thing] = ()) -> Thing:
        """`northern Bralin`: a thing that is none of `but`."""
        count = {words: len(things) for words, things in self._having.items()}
        for thing in but:
            for words in self._epithets(thing):
                count[words] -= 1
        live = [words for words in count if count[words]]
        total = sum(count.values())
        n = hand.choose(live, [count[words] / total for words in live])
        return named(hand, [t for t in self._having[live[n]] if t not in but])

    def _epithets(self, thing: Thing) -> list[str]:
        return [f"{EPITHETS[thing.of(attribute)]} " for attribute in self._attributes]


class Table(NamedTuple):
    """The wordings that may come next, their probabilities, and what each tells of which things."""

    options: tuple[str, ...]
    weights: tuple[float, ...]
    outcomes: tuple[tuple[Told, list[Thing]], ...]


class Hidden:
    """A thing drawn evenly and in secret, which the text reveals bit by bit.

    `things` are those it may still be. It is each of them with the same probability as long as
    there are as many wordings for one thing as for another.
    """

    def __init__(self, ground: Ground, hand: Hand):
        self.things, self._hand, self._tables, self._path = ground.things, hand, ground.tables, ()

    def reveal(self, what: Hashable, wordings: Callable[[Thing], Wordings]) -> Told:
        """Writes one of the wordings of the thing, all equally likely; returns what it told.

        `what` identifies `wordings` among those that may follow the same text.
        """
        path = (*self._path, what)
        if path not in self._tables:
            self._tables[path] = _table(self.things, wordings)
        table = self._tables[path]
        n = self._hand.choose(table.options, table.weights)
        told, self.things = table.outcomes[n]
        self._path = (*path, n)
        return told


def _table(things: Iterable[Thing], wordings: Callable[[Thing], Wordings]) -> Table:
    outcomes: dict[str, tuple[Told, list[Thing]]] = {}
    for thing in things:
        for told, ways in wordings(thing).items():
            for way in ways:
                outcomes.setdefault(way, (told, []))[1].append(thing)
    sizes = [len(holders) for _, holders in outcomes.values()]
    weights = tuple(size / sum(sizes) for size in sizes)
    return Table(tuple(outcomes), weights, tuple(outcomes.values()))


@functools.cache
def ground(seed: int) -> Ground:
    """The ground of the world of this seed."""
    return Ground(seed)
