"""Next-sentence prediction: does B follow A in its document? (Devlin 2019 §3.1)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.sentence_pair import SentencePair


class NextSentence(SentencePair):
    """BERT's objective. Label 0: B follows A; 1: B is from another document.

    Rows: Pairs(contrast="random"). More than half of them have label 1, because a chunk of one
    sentence has nothing that follows.
    """

    relation: ClassVar[str] = "next_sentence"
    needs: ClassVar[tuple[str, ...]] = ("next_sentence",)
    head: ClassVar[str] = "nsp"
