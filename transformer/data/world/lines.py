"""Documents of the old tongue: lines in it, and dictionary entries."""

from __future__ import annotations

from transformer.data.world.choice import Hand
from transformer.data.world.ground import Ground
from transformer.data.world.phrases import capital


def lines(ground: Ground, hand: Hand) -> None:
    """Three lines; the word for `once` keeps them apart from the labelled pairs."""
    tongue = ground.tongue
    for start in ("", " ", " "):
        hand.put(f"{start}{capital(tongue.once)} ")
        for slot in (tongue.where, ground.marked, tongue.who):
            hand.choose(slot)
            hand.put(" ")
        hand.choose(tongue.verb)
        hand.put(".")


def dictionary(ground: Ground, hand: Hand) -> None:
    """Six words of the old tongue."""
    left = list(ground.entries)
    hand.put("In the old tongue, ")
    for separator in (", ", ", ", ", ", ", ", " and ", "."):
        del left[hand.choose(left)]
        hand.put(separator)
