"""A question whose answer stands in a passage (SQuAD: Rajpurkar 2016)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.error import UserError
from transformer.tasks.layout import Encoding, Layout
from transformer.tasks.spans import exact_match, word_f1
from transformer.tasks.task import Task, index, real, text, texts, value, where


class ExtractiveAnswer(Task):
    """Question first, then the passage, so that every reader knows what is asked.

    Where the answer lies beyond the end of the row, `pooled` stands for it: no answer here.

    Attributes:
      answer: the field of the answer, a text or a list of right texts; the first is learnt.
      start: the field of where that begins in the context, in characters; the first occurrence
        where the record lacks it. A list, one for each answer, is allowed.
      longest: tokens of an answer.
    """

    layout: Layout = Encoding()
    question: str = "question"
    context: str = "context"
    answer: str = "answer"
    start: str = "start"
    longest: int = 30
    head: ClassVar[str] = "span"
    metric: ClassVar[str] = "f1"

    @property
    def width(self):
        return 2

    def inputs(self, record, tokenizer, length):
        """The row, with `weights` [t] 1 where an answer may begin or end."""
        return self._row(record, tokenizer, length)[0]

    def example(self, record, tokenizer, length):
        """`labels` [2]: the first and the last token of the answer."""
        row, place, spans = self._row(record, tokenizer, length)
        begin, end = self._characters(record)
        inside = [n for n, (a, b) in enumerate(spans) if a < end and b > begin]
        if not inside:
            raise UserError(f"{where(record)}: no token of the context covers the answer")
        labels = np.array([inside[0], inside[-1]], np.int32) + place.start
        if labels[1] >= place.stop:
            labels = np.repeat(row["pooled"], 2)
        return {**row, "labels": labels}

    def _row(self, record, tokenizer, length):
        question = tokenizer.encode(text(record, self.question))
        ids, spans = tokenizer.spans(text(record, self.context))
        row, (_, place) = self.layout.arrange([question, ids], tokenizer, length, where(record))
        weights = np.zeros(len(row["tokens"]), np.float32)
        weights[place] = 1
        weights[row["pooled"]] = 1
        return {**row, "weights": weights}, place, spans

    def _characters(self, record) -> tuple[int, int]:
        answer, context = texts(record, self.answer)[0], text(record, self.context)
        begin = context.find(answer)
        if self.start in record:
            found = value(record, self.start)
            found = found[0] if isinstance(found, (list, tuple)) and found else found
            begin = index({**record, self.start: found}, self.start, len(context))
        if not answer or begin < 0 or not context.startswith(answer, begin):
            raise UserError(f"{where(record)}: the answer {answer!r:.40} does not stand in the "
                            f"context{f' at {begin}' if begin >= 0 else ''}")
        return begin, begin + len(answer)

    def predict(self, outputs, batch, tokenizer):
        """Texts of the best spans; "" for no answer here."""
        return [self._best(np.asarray(outputs["span"][row], np.float64), row, batch, tokenizer)
                for row in np.flatnonzero(real(batch))]

    def _best(self, logits_T2, row: int, batch, tokenizer) -> str:
        pooled, T = int(batch["pooled"][row]), len(logits_T2)
        passage = np.asarray(batch["weights"][row]) > 0
        passage[pooled] = False
        ordered = np.triu(np.ones((T, T), bool)) & ~np.triu(np.ones((T, T), bool), self.longest)
        allowed = ordered & passage[:, None] & passage[None, :]
        allowed[pooled, pooled] = True
        sums = np.where(allowed, logits_T2[:, :1] + logits_T2[:, 1:].T, -np.inf)
        begin, end = np.unravel_index(sums.argmax(), sums.shape)
        tokens = batch["tokens"][row][begin:end + 1]
        return "" if begin == pooled else tokenizer.decode(tokens).strip()

    def score(self, predictions, records):
        """exact match and f1 over words, each against the best of the right answers."""
        pairs = [(p, texts(r, self.answer)) for p, r in zip(predictions, records, strict=True)]
        count = max(len(pairs), 1)
        return {"exact": sum(exact_match(*pair) for pair in pairs) / count,
                "f1": sum(word_f1(*pair) for pair in pairs) / count}
