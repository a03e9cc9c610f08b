"""A text into another language, judged by BLEU."""

from __future__ import annotations

from typing import ClassVar

from transformer.error import UserError
from transformer.tasks.bleu import bleu, words_13a
from transformer.tasks.rewriting import Rewriting
from transformer.tasks.task import text


class Translation(Rewriting):
    """Fields `source` and `target`.

    by_length: lengths of sources in words, ascending; BLEU is told of those up to each as well, and
    of those beyond (Bahdanau 2015 Fig. 2). Words are those that BLEU counts.
    """

    by_length: tuple[int, ...] = ()
    metric: ClassVar[str] = "bleu"

    def check(self):
        if list(self.by_length) != sorted({max(1, n) for n in self.by_length}):
            raise UserError(f"Translation.by_length is {self.by_length}, but it must be ascending "
                            "numbers of words from 1")

    def score(self, predictions, records):
        """bleu from 0 to 100 over the whole corpus, and exact: the share of equal texts.

        With `by_length` also bleu_LOW_HIGH over the sources of LOW to HIGH words (bleu_LOW_up of
        the longest), and how many these are; nothing of lengths that do not occur.
        """
        right = self.references(records)
        equal = sum(p in answers for p, answers in zip(predictions, right, strict=True))
        told = {"bleu": bleu(predictions, right), "exact": equal / max(len(right), 1)}
        if not self.by_length:
            return told
        lengths = [len(words_13a(text(record, self.source))) for record in records]
        low = 0
        for high in (*self.by_length, None):
            kept = [n for n, length in enumerate(lengths)
                    if low <= length and (high is None or length <= high)]
            name = f"{max(low, 1)}_{'up' if high is None else high}"
            if kept:
                told[f"bleu_{name}"] = bleu([predictions[n] for n in kept],
                                            [right[n] for n in kept])
                told[f"sentences_{name}"] = len(kept)
            low = (high or 0) + 1
        return told
