"""How alike two texts are: a number, the same for both orders."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.error import UserError
from transformer.tasks.layout import Generative, Layout
from transformer.tasks.metric import pearson, spearman
from transformer.tasks.task import Task, number, real, text, where


class Similarity(Task):
    """A score from `low` to `high` (STS-B: 0 to 5), learnt on the scale 0 to 1.

    A layout that reads leftwards takes both orders, two rows whose scores the objective adds
    (Radford 2018 §3.3); one that reads both ways takes the given order.
    """

    layout: Layout = Generative()
    first: str = "first"
    second: str = "second"
    label: str = "score"
    low: float = 0.0
    high: float = 5.0
    head: ClassVar[str] = "score"
    metric: ClassVar[str] = "spearman"

    def check(self):
        if not self.low < self.high:
            raise UserError(f"Similarity.low is {self.low}, but it must be below high, {self.high}")

    def inputs(self, record, tokenizer, length):
        """Arrays of one row, or [2, t] of both orders, which are equally long."""
        parts = tokenizer.encode_batch([text(record, self.first), text(record, self.second)])
        if self.layout.orders == 1:
            return self.layout.arrange(parts, tokenizer, length, where(record)).example
        rows = [self.layout.arrange(order, tokenizer, length, where(record)).example
                for order in (parts, parts[::-1])]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def example(self, record, tokenizer, length):
        scaled = (self._score(record) - self.low) / (self.high - self.low)
        return {**self.inputs(record, tokenizer, length), "labels": np.float32(scaled)}

    def _score(self, record) -> float:
        return number(record, self.label, self.low, self.high)

    def predict(self, outputs, batch, tokenizer):
        """Scores on the record's scale; they may leave it."""
        orders = self.layout.orders
        scores_B = np.asarray(outputs["score"], np.float64).reshape(-1, orders).sum(1)
        return (self.low + (self.high - self.low) * scores_B[real(batch, orders)]).tolist()

    def score(self, predictions, records):
        truth = [self._score(record) for record in records]
        return {"pearson": pearson(predictions, truth), "spearman": spearman(predictions, truth)}
