"""The world as sources: its corpus, with the entropy floor, and its labelled tasks."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal, NamedTuple

from transformer.data.reading import Source
from transformer.data.world.choice import Derivation, Writer, derivations
from transformer.data.world.facts import facts
from transformer.data.world.grammar import Part, grammar
from transformer.data.world.labelled import TASKS, Asker, Maker, Record
from transformer.data.world.tongue import tongue
from transformer.error import UserError
from transformer.spec import to_json

SIZES = {"train": 2000, "validation": 200, "test": 400}  # records of a labelled task


class Floor(NamedTuple):
    """The least that any model which knows the world can spend on a text, on average over texts."""

    nats: float
    bytes: int
    documents: int

    def per(self, units: float) -> float:
        """Nats for each of that many units, tokens say."""
        return self.nats / units

    @property
    def per_byte(self) -> float:
        """Nats per byte of UTF-8 (ends of documents, which the floor covers too, have no byte)."""
        return self.nats / self.bytes


class World(Source):
    """Documents about the things of an invented world, each drawn from its grammar.

    Document n of a split depends on nothing but the world's seed, the part, the split and n; a
    larger corpus begins with the smaller one.

    Raises:
      UserError: no room for a document.
    """

    seed: int = 0
    part: Part = "corpus"
    split: Literal["train", "validation"] = "train"
    megabytes: float = 3.0

    def check(self):
        if not self.megabytes > 0:
            raise UserError(f"World.megabytes is {self.megabytes}, but it must be above 0")

    def writers(self) -> Iterator[Writer]:
        """Every document with its derivation, without end."""
        document = grammar(self.seed, self.part)
        for n in itertools.count():
            writer = Writer(Random(f"{self.seed} {self.part} {self.split} {n}"))
            document(writer)
            yield writer

    def documents(self) -> Iterator[str]:
        """Texts of one line each, until their bytes reach the size."""
        left = self.megabytes * 1e6
        for writer in self.writers():
            yield writer.text
            left -= len(writer.text.encode())
            if left <= 0:
                return

    def records(self) -> Iterator[dict[str, str]]:
        """`{"text": document}` for each document, and where it stands."""
        for n, text in enumerate(self.documents()):
            yield {"text": text, "where": f"world {self.seed} {self.split}: document {n}"}

    def size(self) -> int:
        return round(self.megabytes * 1e6)

    def derive(self, text: str) -> Derivation:
        """The choices that lead to a document of this part, of this split or not.

        Raises:
          UserError: a text that is no document of this world.
        """
        found = derivations(grammar(self.seed, self.part), text)
        if len(found) != 1:
            raise UserError(f"{text[:60]!r} is no document of the world of seed {self.seed}")
        return found[0]

    def floor(self, documents: Iterable[str] | None = None) -> Floor:
        """The entropy floor of documents of this part (by default its own), given the facts.

        Raises:
          UserError: a text that is no document of this world.
        """
        texts = list(self.documents() if documents is None else documents)
        nats = math.fsum(self.derive(text).nats for text in texts)
        return Floor(nats, sum(len(text.encode()) for text in texts), len(texts))

    def fingerprint(self) -> str:
        """Hex sha256 of the fields and of the first documents, in which the whole grammar shows."""
        first = (writer.text for writer in itertools.islice(self.writers(), 300))
        return _digest(self, first)


class WorldTask(Source):
    """Records of a labelled task of a world: all of a split, or the first `limit` of them.

    The things that a split asks about are in no other split; the labels are evenly distributed.
    `world` is the seed of the `World` it asks about, `seed` that of the draw of the records.

    Raises:
      UserError: a limit below 1 or above what the split has.
    """

    name: Literal["classification", "entailment", "similarity", "choice", "tagging", "extraction",
                  "translation", "summary"]
    split: Literal["train", "validation", "test"] = "train"
    limit: int | None = None
    seed: int = 0
    world: int = 0

    def check(self):
        if self.limit is not None and not 1 <= self.limit <= SIZES[self.split]:
            raise UserError(f"WorldTask.limit is {self.limit}, but the {self.split} split has "
                            f"{SIZES[self.split]} records")

    def records(self) -> Iterator[Record]:
        """Distinct records, with the fields that labelled.py gives them and where they stand."""
        rng = Random(f"{self.name} {self.split} {self.world} {self.seed}")
        ask = Asker(facts(self.world).pool(self.split), tongue(self.world), self.split, rng)
        make, turns = TASKS[self.name]
        rounds, seen = _rounds(rng, turns), set()
        for n in range(self.limit or SIZES[self.split]):
            record = _unseen(make, ask, next(rounds), seen)
            yield {**record, "where": f"{self.name} {self.split}: record {n}"}

    def fingerprint(self) -> str:
        """Hex sha256 of the fields and of the records."""
        return _digest(self, map(json.dumps, self.records()))


def _unseen(make: Maker, ask: Asker, turn: int, seen: set[str]) -> Record:
    while (key := json.dumps(record := make(ask, turn))) in seen:
        pass
    seen.add(key)
    return record


def _rounds(rng: Random, turns: int) -> Iterator[int]:
    """0 to turns - 1 in a new order each round."""
    while True:
        yield from rng.sample(range(turns), turns)


def _digest(spec: Source, lines: Iterable[str]) -> str:
    text = "\n".join((json.dumps(to_json(spec), sort_keys=True), *lines))
    return hashlib.sha256(text.encode()).hexdigest()
