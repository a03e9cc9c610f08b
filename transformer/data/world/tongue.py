"""Small events, told in English and in the old tongue of the world.

English: who verb name where. The old tongue: where particle name who verb. The particle before a
name agrees with the kind and the home of the thing, neither of which the English sentence mentions:
like the gender of a noun, it has to be known, and only reading the corpus can tell.
"""

from __future__ import annotations

import functools
from random import Random
from typing import NamedTuple

from transformer.data.world import names
from transformer.data.world.facts import ATTRIBUTES, Thing, facts
from transformer.data.world.phrases import capital

WHO = ("a stranger", "my aunt", "the old judge", "two sisters", "a tired rider", "the miller",
       "a young guard", "the ferryman", "a blind singer", "our teacher")
VERB = ("spoke of", "dreamed of", "asked about", "sang of", "wrote about", "argued about",
        "laughed about", "heard of")
WHERE = ("by the fire", "at the inn", "near the well", "on the bridge", "in the cellar",
         "under the oak", "at the market", "behind the mill", "on the hill", "by the river")
RARE = 2  # the last words of each list never occur in labelled training pairs


class Event(NamedTuple):
    """Who did what, as numbers into `WHO`, `VERB` and `WHERE`, concerning which thing."""

    who: int
    verb: int
    thing: Thing
    where: int

    @property
    def words(self) -> tuple[str, str, str, str]:
        """`a stranger`, `spoke of`, `Bralin`, `by the fire`"""
        return WHO[self.who], VERB[self.verb], self.thing.name, WHERE[self.where]

    @property
    def rare(self) -> bool:
        """Whether it takes a word that the labelled training pairs leave out."""
        lists = ((self.who, WHO), (self.verb, VERB), (self.where, WHERE))
        return any(n >= len(words) - RARE for n, words in lists)


class Tongue:
    """The words of the old tongue in the world of a seed, in the order of the English lists."""

    def __init__(self, seed: int):
        kinds, homes = ATTRIBUTES["kind"], ATTRIBUTES["home"]
        count = 1 + len(WHO) + len(VERB) + len(WHERE) + len(kinds) * len(homes)
        rng = Random(f"tongue {seed}")
        words = iter(names.invent(rng, count, names.word, taken=facts(seed).names))
        self.once = next(words)
        self.who, self.verb, self.where = ([next(words) for _ in e] for e in (WHO, VERB, WHERE))
        self.particle = {(kind, home): next(words) for kind in kinds for home in homes}

    def of(self, thing: Thing) -> str:
        """The particle and the name of a thing."""
        return f"{self.particle[thing.kind, thing.home]} {thing.name}"

    def sentence(self, event: Event) -> str:
        """The event in the old tongue, with a capital and a full stop."""
        who, verb, where = self.who[event.who], self.verb[event.verb], self.where[event.where]
        return capital(f"{where} {self.of(event.thing)} {who} {verb}.")

    def entries(self) -> tuple[str, ...]:
        """A dictionary: `'by the fire' is 'lumeka'`, one entry for each word."""
        plain = zip((*WHO, *VERB, *WHERE), (*self.who, *self.verb, *self.where))
        pairs = [(f"'{e}'", w) for e, w in plain]
        pairs += [(f"the mark of a {k} of {home}", w) for (k, home), w in self.particle.items()]
        return tuple(f"{english} is '{word}'" for english, word in pairs)


@functools.cache
def tongue(seed: int) -> Tongue:
    """The old tongue of the world of this seed."""
    return Tongue(seed)
