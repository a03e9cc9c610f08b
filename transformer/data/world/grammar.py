"""The documents of the corpus: each sort is a grammar over the facts, drawn with its share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from transformer.data.world.choice import Hand
from transformer.data.world.ground import Ground, ground
from transformer.data.world.lines import dictionary, lines
from transformer.data.world.portrait import portrait
from transformer.data.world.together import comparison, gathering, questions

Part = Literal["corpus", "english", "tongue"]

# Shares of the documents. A portrait states all facts of a thing beside its name, which is the
# cheapest way to learn them, so most documents are portraits.
_ENGLISH = ((portrait, 0.65), (comparison, 0.05), (gathering, 0.15), (questions, 0.15))
_TONGUE = ((lines, 0.8), (dictionary, 0.2))
SHARES = {
    "english": _ENGLISH,
    "tongue": _TONGUE,
    "corpus": tuple((s, 0.93 * p) for s, p in _ENGLISH) + tuple((s, 0.07 * p) for s, p in _TONGUE),
}


def grammar(seed: int, part: Part) -> Callable[[Hand], None]:
    """The grammar of the documents in a part of the corpus."""
    base: Ground = ground(seed)
    sorts, weights = zip(*SHARES[part])

    def document(hand: Hand) -> None:
        # The sort shows only in what follows, so a reader has to try them all.
        sorts[hand.choose(("",) * len(sorts), weights)](base, hand)

    return document
