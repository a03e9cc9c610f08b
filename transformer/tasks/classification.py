"""One text, one of several classes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.tasks.layout import Generative, Layout
from transformer.tasks.metric import accuracy, f1, macro_f1, matthews
from transformer.tasks.task import Task, check_classes, class_index, real, text, value, where


class Classifying(Task):
    """Base: parts of a record, laid out in a row, and one of `classes`.

    Attributes:
      label: the field of the class, by name or (where no name is a number) by index.
      positive: the class that F1 is about where there are two; the last by default.
    """

    layout: Layout = Generative()
    label: str = "label"
    classes: tuple[str, ...]
    positive: str = ""
    head: ClassVar[str] = "classes"

    def check(self):
        check_classes(type(self).__name__, self.classes)

    @property
    def width(self):
        return len(self.classes)

    def parts(self, record) -> list[str]:
        """The texts that are laid out."""
        raise NotImplementedError

    def inputs(self, record, tokenizer, length):
        parts = tokenizer.encode_batch(self.parts(record))
        return self.layout.arrange(parts, tokenizer, length, where(record)).example

    def example(self, record, tokenizer, length):
        return {**self.inputs(record, tokenizer, length), "labels": np.int32(self.index(record))}

    def index(self, record) -> int:
        """The right class by number."""
        return class_index(record, self.label, value(record, self.label), self.classes)

    def predict(self, outputs, batch, tokenizer):
        """Names of classes."""
        best = np.asarray(outputs["classes"])[real(batch)].argmax(-1)
        return [self.classes[n] for n in best]

    def score(self, predictions, records):
        """accuracy, matthews, and f1 of the positive class (of two) or macro_f1 (of more)."""
        truth = [self.classes[self.index(record)] for record in records]
        told = {"accuracy": accuracy(predictions, truth), "matthews": matthews(predictions, truth)}
        if len(self.classes) == 2:
            return {**told, "f1": f1(predictions, truth, self.positive or self.classes[-1])}
        return {**told, "macro_f1": macro_f1(predictions, truth)}


class Classification(Classifying):
    """Which class a text belongs to."""

    text: str = "text"

    def parts(self, record):
        return [text(record, self.text)]
