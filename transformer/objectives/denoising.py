"""Denoising: text out of shuffled sentences with gaps of unknown length (Lewis 2020 §2.2)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from transformer.data.sentences import sentences_of
from transformer.error import UserError
from transformer.objectives.from_text import FromText
from transformer.objectives.objective import pieces, special
from transformer.spec import Rate


class Denoising(FromText):
    """BART's objective: source = bos, corrupted text, eos; target = bos, text, eos.

    Text infilling: ceil(rate n) of the n words are hidden, in spans of Poisson(mean) words, each of
    which becomes one mask; one of no words is a mask between two words. Spans lie anywhere among
    the kept words, and there are at most as many as hidden words, so that no source outgrows its
    text. (In the authors' code spans may run over one another, which hides 27 % where 30 % is
    asked for.)

    rate: share of the words that is hidden. mean: words of a span, on average.
    permute: whether the sentences are shuffled before; see `data.sentences`.
    """

    rate: Rate = 0.3
    mean: float = 3.0
    permute: bool = True
    start: Literal["bos", "eos", "start", "pad"] = "eos"
    opening: ClassVar[str | None] = "bos"

    def check(self):
        if self.mean <= 0:
            raise UserError(f"Denoising.mean is {self.mean}, but a span has more than 0 words")

    def sides(self, length: int) -> tuple[int, int]:
        return length + 2, length + 2

    def make(self, text, rng, tokenizer):
        bos, mask = special(tokenizer, self.opening), special(tokenizer, "mask")
        source = text
        if self.permute:
            sentences = np.split(text, sentences_of(tokenizer).ends(text)[:-1])
            source = np.concatenate([sentences[n] for n in rng.permutation(len(sentences))])
        begins = pieces(tokenizer).starts[source]
        words = np.split(source, np.flatnonzero(begins[1:]) + 1)
        source = np.concatenate(self.infilled(words, mask, rng))
        return np.append(bos, source), np.append(bos, text)

    def infilled(self, words: list, mask: int, rng: np.random.Generator) -> list:
        """The words with spans of them replaced by [mask]."""
        hidden = math.ceil(self.rate * len(words))
        lengths = self.lengths(hidden, rng)
        kept = len(words) - hidden
        spans = iter(lengths)
        is_span = np.isin(np.arange(kept + len(lengths)),
                          rng.choice(kept + len(lengths), len(lengths), replace=False))
        out, at = [], 0
        for span in is_span:
            out.append([mask] if span else words[at])
            at += next(spans) if span else 1
        return out

    def lengths(self, hidden: int, rng: np.random.Generator) -> np.ndarray:
        """Words of each span, in any order; together `hidden`."""
        drawn, total = [], 0
        while total < hidden:
            drawn.append(min(int(rng.poisson(self.mean)), hidden - total))
            total += drawn[-1]
        spans = rng.permutation(drawn)
        empty = np.flatnonzero(spans == 0)
        return np.delete(spans, empty[:max(len(spans) - hidden, 0)])
