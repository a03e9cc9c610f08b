"""One text in, another out: what translation and summarisation share."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.objectives.objective import special
from transformer.spec import Spec
from transformer.tasks.layout import truncated
from transformer.tasks.task import Task, real, text, texts, where


class Apart(Spec):
    """The source + eos goes to an encoder, the target + eos to a decoder."""

    def prompt(self, source: list[int], tokenizer, length: int, where: str) -> dict:
        return {"source_tokens": _ended(source, tokenizer, length)}

    def pair(self, source, target, tokenizer, length: int, source_length: int, where: str) -> dict:
        return {**self.prompt(source, tokenizer, source_length, where),
                "tokens": _ended(target, tokenizer, length)}


class Together(Spec):
    """One row for a decoder: [start] source [delimiter] target eos; only the target is scored."""

    def prompt(self, source: list[int], tokenizer, length: int, where: str) -> dict:
        (source,) = truncated([source], length - 2, where)
        opening, between = special(tokenizer, "start"), special(tokenizer, "delimiter")
        return {"tokens": np.array([opening, *source, between], np.int32)}

    def pair(self, source, target, tokenizer, length: int, source_length: int, where: str) -> dict:
        source, target = truncated([source, target], length - 3, where)
        prompt = self.prompt(source, tokenizer, length, where)["tokens"]
        answer = _ended(target, tokenizer, length)
        return {"tokens": np.concatenate([prompt, answer]),
                "weights": np.repeat([0, 1], [len(prompt), len(answer)]).astype(np.float32)}


def _ended(ids: list[int], tokenizer, length: int) -> np.ndarray:
    return np.array([*ids[:length - 1], special(tokenizer, "eos")], np.int32)


class Rewriting(Task):
    """Base of tasks whose answer is a generated text.

    `inputs` is the prompt: `source_tokens`, or `tokens` that the answer continues. The target may
    be a list of right texts; the first is learnt.
    """

    layout: Apart | Together = Apart()
    source: str = "source"
    target: str = "target"
    head: ClassVar[str] = "logits"
    generates: ClassVar[bool] = True

    def inputs(self, record, tokenizer, length):
        source = tokenizer.encode(text(record, self.source))
        return self.layout.prompt(source, tokenizer, length, where(record))

    def example(self, record, tokenizer, length, source_length=None):
        """As of every task. source_length: tokens that an encoder's row holds; None is `length`."""
        both = [text(record, self.source), texts(record, self.target)[0]]
        return self.layout.pair(*tokenizer.encode_batch(both), tokenizer, length,
                                source_length or length, where(record))

    def predict(self, outputs, batch, tokenizer):
        """Texts of outputs["generated"] [B, t]: ids after the prompt, up to the first eos."""
        eos = special(tokenizer, "eos")
        name = "source_segments" if "source_segments" in batch else "segments"
        rows = np.asarray(outputs["generated"])[real({"segments": batch[name]})]
        ends = [np.flatnonzero(row == eos) for row in rows]
        return [tokenizer.decode(row[:end[0]] if len(end) else row).strip()
                for row, end in zip(rows, ends)]

    def references(self, records) -> list[list[str]]:
        """The right texts of each record."""
        return [texts(record, self.target) for record in records]
