"""Two texts in a fixed order, one of several classes: entailment, paraphrase, questions."""

from __future__ import annotations

from transformer.tasks.classification import Classifying
from transformer.tasks.task import text


class Entailment(Classifying):
    """What a first text means for a second. SNLI by default; RTE has two classes."""

    classes: tuple[str, ...] = ("entailment", "neutral", "contradiction")
    first: str = "premise"
    second: str = "hypothesis"

    def parts(self, record):
        return [text(record, self.first), text(record, self.second)]
