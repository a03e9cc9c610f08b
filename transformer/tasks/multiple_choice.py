"""One context, several choices, one of them right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.error import UserError
from transformer.tasks.layout import Generative, Layout
from transformer.tasks.metric import accuracy
from transformer.tasks.task import Task, index, real, text, texts, where


class MultipleChoice(Task):
    """Context (and question) with each choice in a row of its own (Radford 2018 §3.3).

    Attributes:
      question: a field whose text follows the context; "" if there is none.
      label: the field of the right choice, counted from 0.
      count: choices of every record, C.
    """

    layout: Layout = Generative()
    context: str = "context"
    question: str = "question"
    choices: str = "choices"
    label: str = "label"
    count: int = 4
    head: ClassVar[str] = "score"

    def check(self):
        if self.count < 2:
            raise UserError(f"MultipleChoice.count is {self.count}, but it must be at least 2")

    def inputs(self, record, tokenizer, length):
        """Arrays [C, t] with `segments`: choices shorter than the longest end in padding."""
        choices = texts(record, self.choices)
        if len(choices) != self.count:
            raise UserError(f"{where(record)}: {len(choices)} choices, but the task has "
                            f"count={self.count}")
        asked = text(record, self.context)
        if self.question:
            asked = f"{asked} {text(record, self.question)}"
        first, *others = tokenizer.encode_batch([asked, *choices])
        return folded([self.layout.arrange([first, other], tokenizer, length, where(record)).example
                       for other in others], tokenizer.special["pad"])

    def example(self, record, tokenizer, length):
        return {**self.inputs(record, tokenizer, length), "labels": np.int32(self._right(record))}

    def _right(self, record) -> int:
        return index(record, self.label, self.count)

    def predict(self, outputs, batch, tokenizer):
        """Indices of choices."""
        scores_BC = np.asarray(outputs["score"]).reshape(-1, self.count)
        return scores_BC[real(batch, self.count)].argmax(-1).tolist()

    def score(self, predictions, records):
        return {"accuracy": accuracy(predictions, [self._right(record) for record in records])}


def folded(rows: list[dict], pad: int) -> dict[str, np.ndarray]:
    """Rows of unequal length as arrays [C, t], with `segments` 0 where a row has ended."""
    longest = max(len(row["tokens"]) for row in rows)
    rows = [{**row, "segments": np.ones(len(row["tokens"]), np.int32)} for row in rows]
    fill = {"tokens": pad}
    return {name: np.stack([_widened(row[name], longest, fill.get(name, 0)) for row in rows])
            for name in rows[0]}


def _widened(array: np.ndarray, length: int, fill: int) -> np.ndarray:
    if array.ndim == 0:
        return array
    return np.pad(array, (0, length - len(array)), constant_values=fill)
