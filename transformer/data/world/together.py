"""Documents about several things: comparisons, lists, and questions with their answers."""

from __future__ import annotations

from transformer.data.world.choice import Hand
from transformer.data.world.facts import ATTRIBUTES, PAIRS, Thing
from transformer.data.world.ground import Ground
from transformer.data.world.phrases import MANY, ONE, capital

_LISTS = tuple(f"These {MANY[a].format(v)}: " for a, v in PAIRS)
_ASKED = tuple(f" {ONE[a].format(v)}? " for a, v in PAIRS)
_WHAT = tuple(f"{a} of " for a in ATTRIBUTES)


def comparison(ground: Ground, hand: Hand) -> None:
    """Three attributes of two things, side by side."""
    opening = hand.choose(("Compare ", "How alike are ", "People often name "))
    one = ground.everyone.mention(hand)
    hand.put(" with " if opening == 0 else " and ")
    two = ground.everyone.mention(hand, but=(one,))
    hand.put((".", "?", " together.")[opening])
    left = list(ATTRIBUTES)
    for _ in range(3):
        sentences = [s for a in left for s in _side_by_side(a, one, two)]
        del left[hand.choose(sentences) // 2]


def _side_by_side(attribute: str, one: Thing, two: Thing) -> tuple[str, str]:
    a, b = one.of(attribute), two.of(attribute)
    if a == b:
        return f" The {attribute} of both is {a}.", f" They share their {attribute}: {a}."
    return (f" The {attribute} of {one.name} is {a} and that of {two.name} is {b}.",
            f" By {attribute}, {one.name} has {a} and {two.name} has {b}.")


def gathering(ground: Ground, hand: Hand) -> None:
    """Two lists, each of four things that have something in common."""
    for start in ("", " "):
        hand.put(start)
        crowd = ground.having[PAIRS[hand.choose(_LISTS)]]
        listed: list[Thing] = []
        for separator in (", ", ", ", " and ", "."):
            listed.append(crowd.mention(hand, but=listed))
            hand.put(separator)


def questions(ground: Ground, hand: Hand) -> None:
    """Three questions, each with its answer."""
    for start in ("", " ", " "):
        hand.put(start)
        sort = hand.choose(("What is the ", "Is it true that ", "Which of "))
        (_what, _whether, _which)[sort](ground, hand)


def _what(ground: Ground, hand: Hand) -> None:
    """`What is the home of Bralin? The north.`"""
    attribute = list(ATTRIBUTES)[hand.choose(_WHAT)]
    thing = ground.thing(hand)
    hand.put(f"? {capital(thing.of(attribute))}.")


def _whether(ground: Ground, hand: Hand) -> None:
    """`Is it true that Bralin belongs to the east? No, the north.` Half of the answers are yes."""
    thing = ground.thing(hand)
    weights = [(0.5 if v == thing.of(a) else 0.5 / (len(ATTRIBUTES[a]) - 1)) / len(ATTRIBUTES)
               for a, v in PAIRS]
    attribute, asked = PAIRS[hand.choose(_ASKED, weights)]
    truth = thing.of(attribute)
    hand.put("Yes." if asked == truth else f"No, {truth}.")


def _which(ground: Ground, hand: Hand) -> None:
    """`Which of Holkel, Bralin and Temris belongs to the north? Temris.` Exactly one of them."""
    named = [ground.thing(hand)]
    for separator in (", ", " and "):
        hand.put(separator)
        named.append(ground.thing(hand, but=named))
    single = [(a, v) for a, v in PAIRS if sum(t.of(a) == v for t in named) == 1]
    attribute, value = single[hand.choose([f" {ONE[a].format(v)}? " for a, v in single])]
    hand.put(next(t.name for t in named if t.of(attribute) == value) + ".")
