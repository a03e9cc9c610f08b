"""Plain text as it is: the task of pretraining."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.error import UserError
from transformer.objectives.objective import special
from transformer.tasks.task import Task, text, where


class LanguageModelling(Task):
    """A document with a special piece (or none) at either end.

    There is nothing to predict but the tokens themselves, so it is judged by the objective's own
    sums.
    """

    field: str = "text"
    first: str | None = None
    last: str | None = "eos"
    head: ClassVar[str] = "logits"
    metric: ClassVar[str] = ""

    def inputs(self, record, tokenizer, length=None):
        """The document's tokens. UserError if they are more than `length` (None: no limit)."""
        tokens = self.framed(tokenizer.encode(text(record, self.field)), tokenizer)
        if length is not None and len(tokens) > length:
            raise UserError(f"{where(record)}: {len(tokens)} tokens, but rows hold {length}; "
                            "cut documents into chunks, or raise the rows' length")
        return {"tokens": np.array(tokens, np.int32)}

    def example(self, record, tokenizer, length=None):
        return self.inputs(record, tokenizer, length)

    def framed(self, ids: list[int], tokenizer) -> list[int]:
        """The ids of a document between its special pieces."""
        opening = [special(tokenizer, self.first)] if self.first else []
        return opening + list(ids) + ([special(tokenizer, self.last)] if self.last else [])

    def predict(self, outputs, batch, tokenizer):
        return []

    def score(self, predictions, records):
        return {}
