"""Span corruption: sentinels stand for spans, which the target spells (Raffel 2020 §3.1.4)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from transformer.error import UserError
from transformer.objectives.from_text import FromText
from transformer.spec import Count, Rate


class SpanCorruption(FromText):
    """T5's objective, by the rules of its code.

        source   kept0 <0> kept1 <1> ... <n> eos
        target   <0> hidden0 <1> hidden1 ... <n> hiddenN eos

    Of a row of L tokens round(rate L) are hidden, in round(hidden / mean) spans; all such rows are
    equally likely that begin with kept text and end with hidden text. No sentinel closes the target
    (the paper's figure shows one, the code writes none).

    rate: share of the tokens that is hidden. mean: tokens of a span, on average.
    vocab: V, whose last ids V - 1, V - 2, ... are the sentinels, as T5 numbers them; none may be a
      piece. None takes the tokenizer's own, its special pieces extra_0, extra_1, ...
    """

    rate: Rate = 0.15
    mean: float = 3.0
    vocab: Count | None = None
    z: Rate = 1e-4
    start: Literal["bos", "eos", "start", "pad"] = "pad"

    def check(self):
        if not self.rate or self.mean < 1:
            raise UserError(f"SpanCorruption(rate={self.rate}, mean={self.mean}): the rate must be "
                            "above 0, the mean at least 1 token")

    def ids(self, tokenizer) -> int:
        return max(tokenizer.size, self.vocab or 0)

    def counts(self, length: int) -> tuple[int, int]:
        """(hidden tokens, spans) of a row of at least two tokens; round goes to even at a half."""
        hidden = min(max(round(length * self.rate), 1), length - 1)
        return hidden, min(max(round(hidden / self.mean), 1), hidden, length - hidden)

    def sides(self, length: int) -> tuple[int, int]:
        hidden, spans = self.counts(max(length, 2))
        return max(length, 2) - hidden + spans + 1, hidden + spans + 1

    def raw_length(self, inputs: int) -> int:
        """The length of rows that become sources of `inputs` tokens: 568 for 512."""
        length = 2
        while self.sides(length + 1)[0] <= inputs:
            length += 1
        return length

    def make(self, text, rng, tokenizer):
        hidden = self.hidden(len(text), rng)
        first = hidden & ~np.roll(hidden, 1)  # a row ends hidden, but begins kept
        marks = sentinels(tokenizer, int(first.sum()), self.vocab)
        marked = text.copy()
        marked[first] = marks
        target = np.insert(text[hidden], np.flatnonzero(first[hidden]), marks)
        return marked[~hidden | first], target

    def hidden(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """bool [length]: which tokens are hidden."""
        hidden, spans = self.counts(length)
        lengths = np.stack([_parts(length - hidden, spans, rng), _parts(hidden, spans, rng)], 1)
        return np.repeat(np.arange(2 * spans) % 2 == 1, lengths.ravel())


def sentinels(tokenizer, count: int, vocab: int | None) -> np.ndarray:
    """The ids of the first `count` sentinels; see `SpanCorruption.vocab`.

    Raises:
      UserError: there are fewer, or they would be pieces of the tokenizer.
    """
    if vocab is not None:
        if vocab - count < tokenizer.size:
            raise UserError(f"SpanCorruption.vocab is {vocab}, so that its last {count} ids, which "
                            f"a row of this length needs as sentinels, reach into the tokenizer's "
                            f"{tokenizer.size}; set it to at least {tokenizer.size + count}")
        return vocab - 1 - np.arange(count)
    names = [f"extra_{n}" for n in range(count)]
    has = sum(name in tokenizer.special for name in names)
    if has < count:
        raise UserError(f"a row of this length needs {count} sentinels, but the tokenizer has "
                        f"{has}; train one with sentinels={max(count, 100)}, or set "
                        "SpanCorruption.vocab to take the last ids of the model's vocabulary")
    return np.array([tokenizer.special[name] for name in names])


def _parts(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Lengths of `count` non-empty parts of `total` things in a row, all ways equally likely."""
    cuts = 1 + np.sort(rng.choice(total - 1, count - 1, replace=False)) if count > 1 else []
    return np.diff(np.concatenate([[0], cuts, [total]]).astype(np.int64))
