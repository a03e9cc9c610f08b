"""Portraits: documents that state every fact of one thing, in any order and grouping."""

from __future__ import annotations

from transformer.data.world.choice import Hand
from transformer.data.world.facts import ATTRIBUTES, Thing
from transformer.data.world.ground import Ground, Hidden, named
from transformer.data.world.phrases import EPITHETS, MANY, TOLD
from transformer.data.world.tongue import VERB, WHERE, WHO

_ONCE = 0.3  # share of the portraits that begin with an event
_STARTS = (" And ", " Yet ", " People say that ")  # sentences with an epithet
_WHO, _VERB = [f"{who} " for who in WHO], [f"{verb} " for verb in VERB]


def portrait(ground: Ground, hand: Hand) -> None:
    """What kind of thing it is, then sentences of one to three facts until none is left.

    Three things like it follow: without them documents would be so short that they recurred.
    """
    left = list(TOLD)
    if hand.choose(("A ", "Once "), (1 - _ONCE, _ONCE)):
        thing = _event(ground, hand)
        _definition(ground, thing, left, hand)
    else:
        thing = _introduction(ground, left, hand)
    while left:
        _sentence(ground, thing, left, hand)
    hand.choose(_closings(thing.name), (0.85, 0.05, 0.05, 0.05))
    alike = [(a, thing.of(a)) for a in ATTRIBUTES]
    n = hand.choose([f" Others that {MANY[a].format(v)}: " for a, v in alike])
    listed = [thing]
    for separator in (", ", " and ", "."):
        listed.append(ground.having[alike[n]].mention(hand, but=listed))
        hand.put(separator)


def _introduction(ground: Ground, left: list[str], hand: Hand) -> Thing:
    """`A huge, gentle town of the west that sells oil is called Brinvas.`

    With some facts before the name, they help to tell what it is: every name there is gets compared
    with what was said. That is learned with far less text than facts after the name.
    """
    hidden = Hidden(ground, hand)
    _strike(left, hidden.reveal("looks", lambda t: ground.looks[t.name]))
    if hand.choose((" of ", ""), (0.85, 0.15)) == 0:
        _strike(left, hidden.reveal("home", lambda t: {("home",): (t.home,)}))
    if hand.choose((" that ", ""), (0.85, 0.15)) == 0:
        _strike(left, hidden.reveal(
            "left", lambda t: {(a,): ground.predicates[t.name][a] for a in left}))
    hand.choose((" is called ", " is named ", " has the name "))
    thing = named(hand, hidden.things)
    hand.put(".")
    return thing


def _event(ground: Ground, hand: Hand) -> Thing:
    """`Once a stranger spoke of Bralin by the fire. Bralin`"""
    hand.choose(_WHO)
    hand.choose(_VERB)
    thing = ground.everyone.mention(hand)
    hand.choose([f" {where}. {thing.name}" for where in WHERE])
    return thing


def _definition(ground: Ground, thing: Thing, left: list[str], hand: Hand) -> None:
    """` is a proud town of the north.`"""
    looks = ground.looks[thing.name]
    told = [attributes for attributes, ways in looks.items() for _ in ways]
    n = hand.choose([f" is a {look}" for ways in looks.values() for look in ways])
    _strike(left, told[n])
    if hand.choose((f" of {thing.home}.", ".")) == 0:
        _strike(left, ("home",))


def _sentence(ground: Ground, thing: Thing, left: list[str], hand: Hand) -> None:
    """A subject with one to three facts: `The town lies in the north and sells salt.`"""
    _subject(thing, left, hand)
    _fact(ground, thing, left, hand)
    join = hand.choose((".", " and ", ", ")[:len(left) + 1])
    if join == 2:
        _fact(ground, thing, left, hand)
        hand.put(" and ")
    if join:
        _fact(ground, thing, left, hand)
        hand.put(".")


def _fact(ground: Ground, thing: Thing, left: list[str], hand: Hand) -> None:
    """One of the facts left, in one of its wordings; strikes it off."""
    wordings = ground.predicates[thing.name]
    n = hand.choose([wording for a in left for wording in wordings[a]])
    del left[n // len(wordings[left[0]])]


def _strike(left: list[str], told: tuple[str, ...]) -> None:
    for attribute in told:
        left.remove(attribute)


def _subject(thing: Thing, left: list[str], hand: Hand) -> None:
    """` Bralin `, ` The town `, or ` Yet salty Bralin ` where that leaves something to say."""
    plain = f" {thing.name} ", f" The {thing.kind} ", f" People say that {thing.name} "
    if len(left) == 1:
        hand.choose(plain, (0.7, 0.2, 0.1))
        return
    epithets = [f"{start}{EPITHETS[thing.of(a)]} {thing.name} " for start in _STARTS for a in left]
    n = hand.choose((*plain, *epithets), (0.3, 0.1, 0.1, *(0.5 / len(epithets),) * len(epithets)))
    if n >= len(plain):
        del left[(n - len(plain)) % len(left)]


def _closings(name: str) -> tuple[str, ...]:
    return "", f" Many songs tell of {name}.", f" Such is {name}.", f" Nobody forgets {name}."
