"""One class for each word of a sentence: named entities, parts of speech."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from transformer.error import UserError
from transformer.tasks.layout import Encoding, Layout
from transformer.tasks.metric import accuracy
from transformer.tasks.spans import entity_f1
from transformer.tasks.task import Task, check_classes, class_index, real, texts, where


class Tagging(Task):
    """Words and their tags, lists of equal length.

    One token stands for each word: its first, which an encoder knows the whole sentence at, or its
    last, by which a model that reads leftwards has seen the word.

    Attributes:
      classes: every tag. The first is what words beyond the end of a row are taken to be.
    """

    layout: Layout = Encoding()
    words: str = "words"
    tags: str = "tags"
    classes: tuple[str, ...]
    read: Literal["first", "last"] = "first"
    head: ClassVar[str] = "tags"
    metric: ClassVar[str] = "f1"

    def check(self):
        check_classes("Tagging", self.classes)

    @property
    def width(self):
        return len(self.classes)

    def inputs(self, record, tokenizer, length):
        """The row, with `weights` [t] 1 at the tokens that stand for words."""
        tokens, reading = self._pieces(texts(record, self.words), tokenizer)
        row, (place,) = self.layout.arrange([tokens], tokenizer, length, where(record))
        weights = np.zeros(len(row["tokens"]), np.float32)
        kept = [n for n in reading if n < place.stop - place.start]
        weights[place.start + np.array(kept, np.int64)] = 1
        return {**row, "weights": weights}

    def example(self, record, tokenizer, length):
        """`labels` [t] hold the tag where the weight is 1, and 0 elsewhere."""
        row, tags = self.inputs(record, tokenizer, length), self._indices(record)
        reading = np.flatnonzero(row["weights"])
        labels = np.zeros(len(row["tokens"]), np.int32)
        labels[reading] = tags[:len(reading)]
        return {**row, "labels": labels}

    def _pieces(self, words: list[str], tokenizer) -> tuple[list[int], list[int]]:
        """All tokens, and for each word the number of the token that stands for it."""
        tokens, reading = [], []
        for n, word in enumerate(words):
            space = " " if n else ""
            ids, spans = tokenizer.spans(space + word)
            ids = ids or [tokenizer.special["unk"]]  # a word that normalisation leaves nothing of
            inside = [k for k, (_, end) in enumerate(spans) if end > len(space)] or [len(ids) - 1]
            reading.append(len(tokens) + inside[0 if self.read == "first" else -1])
            tokens += ids
        return tokens, reading

    def _indices(self, record) -> list[int]:
        words, tags = texts(record, self.words), texts(record, self.tags)
        if len(words) != len(tags):
            raise UserError(f"{where(record)}: {len(words)} words, but {len(tags)} tags")
        return [class_index(record, self.tags, tag, self.classes) for tag in tags]

    def predict(self, outputs, batch, tokenizer):
        """A list of tags for each sentence, for the words that its row holds."""
        best_BT = np.asarray(outputs["tags"]).argmax(-1)
        rows = np.flatnonzero(real(batch))
        return [[self.classes[n] for n in best_BT[row][np.asarray(batch["weights"][row]) > 0]]
                for row in rows]

    def score(self, predictions, records):
        """accuracy over words, f1 over entities."""
        truth = [[self.classes[n] for n in self._indices(record)] for record in records]
        full = [[*tags, *self.classes[:1] * (len(right) - len(tags))]
                for tags, right in zip(predictions, truth, strict=True)]
        flat = [sum(tags, []) for tags in (full, truth)]
        return {"accuracy": accuracy(*flat), "f1": entity_f1(full, truth)}
