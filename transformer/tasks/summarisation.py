"""A text into its summary, judged by ROUGE."""

from __future__ import annotations

from typing import ClassVar

from transformer.tasks.rewriting import Rewriting
from transformer.tasks.rouge import rouge


class Summarisation(Rewriting):
    """Fields `text` and `summary`."""

    source: str = "text"
    target: str = "summary"
    metric: ClassVar[str] = "rouge_l"

    def score(self, predictions, records):
        """rouge_1, rouge_2, rouge_l: F1, from 0 to 1."""
        return rouge(predictions, self.references(records))
