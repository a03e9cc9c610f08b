"""A text into another language, judged by BLEU."""

from __future__ import annotations

from typing import ClassVar

from transformer.tasks.bleu import bleu
from transformer.tasks.rewriting import Rewriting


class Translation(Rewriting):
    """Fields `source` and `target`."""

    metric: ClassVar[str] = "bleu"

    def score(self, predictions, records):
        """bleu from 0 to 100 over the whole corpus, and exact: the share of equal texts."""
        right = self.references(records)
        equal = sum(p in answers for p, answers in zip(predictions, right, strict=True))
        return {"bleu": bleu(predictions, right), "exact": equal / max(len(right), 1)}
