"""The labelled tasks of the world.

Every text only mentions things in small events that hold of anything; what is asked about them is
known from the corpus alone. Each maker is given `turn`, which counts through the labels evenly.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from transformer.data.world.facts import ATTRIBUTES, Thing
from transformer.data.world.phrases import ONE, capital
from transformer.data.world.tongue import VERB, WHERE, WHO, Event, Tongue

Record = dict[str, object]


class Asker:
    """Draws the records of one split: the things it may mention and the generator."""

    def __init__(self, pool: tuple[Thing, ...], tongue: Tongue, split: str, rng: Random):
        self.pool, self.tongue, self.split, self.rng = pool, tongue, split, rng

    def event(self, thing: Thing) -> Event:
        """Anything that may happen about the thing."""
        who, verb, where = (self.rng.randrange(len(words)) for words in (WHO, VERB, WHERE))
        return Event(who, verb, thing, where)

    def mention(self, thing: Thing) -> str:
        """A sentence that mentions the thing and says nothing about it."""
        who, verb, name, where = self.event(thing).words
        return capital(self.rng.choice((
            f"{who} {verb} {name} {where}.",
            f"{where}, {who} {verb} {name}.",
            f"it was {name} that {who} {verb} {where}.",
        )))

    def thing(self, attribute: str, value: str) -> Thing:
        """A thing of the pool that has the value."""
        return self.rng.choice([t for t in self.pool if t.of(attribute) == value])

    def attribute(self) -> str:
        return self.rng.choice(list(ATTRIBUTES))


def classification(ask: Asker, turn: int) -> Record:
    """Where the thing mentioned belongs: label is a value of `home`."""
    home = ATTRIBUTES["home"][turn]
    return {"text": ask.mention(ask.thing("home", home)), "label": home}


def entailment(ask: Asker, turn: int) -> Record:
    """Whether the hypothesis is true of the thing that the premise mentions."""
    thing, attribute = ask.rng.choice(ask.pool), ask.attribute()
    truth = thing.of(attribute)
    value = truth if turn == 0 else ask.rng.choice([v for v in ATTRIBUTES[attribute] if v != truth])
    return {"premise": ask.mention(thing), "hypothesis": f"It {ONE[attribute].format(value)}.",
            "label": ENTAILMENT[turn]}


def similarity(ask: Asker, turn: int) -> Record:
    """5 times the share of attributes in which the two things mentioned agree."""
    one, two = ask.rng.sample(ask.pool, 2)
    while one.shares(two) != turn:  # all scores are to be as frequent
        one, two = ask.rng.sample(ask.pool, 2)
    return {"first": ask.mention(one), "second": ask.mention(two),
            "score": 5.0 * turn / len(ATTRIBUTES)}


def choice(ask: Asker, turn: int) -> Record:
    """Which of four values of an attribute the thing mentioned has."""
    thing, attribute = ask.rng.choice(ask.pool), ask.attribute()
    truth = thing.of(attribute)
    choices = ask.rng.sample([v for v in ATTRIBUTES[attribute] if v != truth], 3)
    choices.insert(turn, truth)
    return {"context": ask.mention(thing), "question": f"What is its {attribute}?",
            "choices": choices, "label": turn}


def tagging(ask: Asker, turn: int) -> Record:
    """The kind of every thing mentioned, `O` for other words; `turn` is the kind of the first."""
    first = ask.thing("kind", ATTRIBUTES["kind"][turn])
    second, third = ask.rng.sample([t for t in ask.pool if t != first], 2)
    who, verb, _, where = ask.event(first).words
    other, how, _, _ = ask.event(second).words
    text = f"{who} {verb} {first.name} and {second.name} {where} , and {other} {how} {third.name} ."
    words = capital(text).split()
    kinds = {t.name: t.kind.upper() for t in (first, second, third)}
    return {"words": words, "tags": [kinds.get(word, "O") for word in words]}


def extraction(ask: Asker, turn: int) -> Record:
    """The one of four things mentioned that has a value; it is the `turn`-th of them."""
    answer, attribute = ask.rng.choice(ask.pool), ask.attribute()
    value = answer.of(attribute)
    named = ask.rng.sample([t for t in ask.pool if t.of(attribute) != value], 3)
    named.insert(turn, answer)
    context = " ".join(ask.mention(thing) for thing in named)
    return {"context": context, "question": f"Which of these {ONE[attribute].format(value)}?",
            "answer": answer.name, "start": context.index(answer.name)}


def translation(ask: Asker, turn: int) -> Record:
    """An event in English and in the old tongue. Training pairs leave out the rare words."""
    event = ask.event(ask.rng.choice(ask.pool))
    while ask.split == "train" and event.rare:
        event = ask.event(event.thing)
    return {"source": capital(f"{' '.join(event.words)}."), "target": ask.tongue.sentence(event)}


def summary(ask: Asker, turn: int) -> Record:
    """Three events at one place about one thing, and one line that says what and whence it is."""
    thing = ask.thing("home", ATTRIBUTES["home"][turn])
    place = WHERE[ask.event(thing).where]
    people, deeds = ask.rng.sample(WHO, 3), ask.rng.sample(VERB, 3)
    told = [capital(f"{who} {verb} {thing.name} {place}.") for who, verb in zip(people, deeds)]
    return {"text": " ".join(told),
            "summary": capital(f"{place}, all minds were on a {thing.kind} of {thing.home}.")}


ENTAILMENT = ("entailment", "contradiction")
Maker = Callable[[Asker, int], Record]

# The maker of each task and how many turns it takes to go through its labels.
TASKS: dict[str, tuple[Maker, int]] = {
    "classification": (classification, len(ATTRIBUTES["home"])),
    "entailment": (entailment, len(ENTAILMENT)),
    "similarity": (similarity, 4),
    "choice": (choice, 4),
    "tagging": (tagging, len(ATTRIBUTES["kind"])),
    "extraction": (extraction, 4),
    "translation": (translation, 1),
    "summary": (summary, len(ATTRIBUTES["home"])),
}

# The labels of the tasks that have a closed list of them.
CLASSES: dict[str, tuple[str, ...]] = {
    "classification": ATTRIBUTES["home"],
    "entailment": ENTAILMENT,
    "tagging": ("O", *(kind.upper() for kind in ATTRIBUTES["kind"])),
}
