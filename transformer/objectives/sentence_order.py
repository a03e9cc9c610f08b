"""Sentence-order prediction: were A and B swapped? (Lan 2020 §3.1)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams
from transformer.objectives.sentence_pair import SentencePair


class SentenceOrder(SentencePair):
    """ALBERT's objective. Label 0: B follows A; 1: A follows B.

    Rows: Pairs(contrast="swapped"). In the authors' code a chunk of one sentence still gets a B
    from another document, with label 1, and so it does here.
    """

    masked: MaskedLM = MaskedLM(unit=NGrams())
    relation: ClassVar[str] = "sentence_order"
    needs: ClassVar[tuple[str, ...]] = ("sentence_order",)
    head: ClassVar[str] = "sop"
