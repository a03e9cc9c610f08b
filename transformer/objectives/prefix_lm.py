"""Prefix language modelling: the beginning is read from both sides, the rest is predicted."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from transformer.objectives.from_text import FromText
from transformer.objectives.next_token import NextToken


class PrefixLM(FromText):
    """For an encoder-decoder: the beginning of a row is the source, the rest the target.

    Each of the n - 1 places between two of its n tokens is cut equally often (Raffel 2020 §3.2.3,
    and its code).
    """

    start: Literal["bos", "eos", "start", "pad"] = "pad"

    def sides(self, length: int) -> tuple[int, int]:
        return max(length, 2), max(length, 2)

    def make(self, text, rng, tokenizer):
        return np.split(text, [rng.integers(1, len(text))])


class PrefixNextToken(NextToken):
    """For a decoder: next-token prediction behind a prefix, which the reach `Prefix` opens.

    Each document of a row is cut as PrefixLM cuts a row. `prefix` [T] is 1 at the tokens before the
    cut. They are not predicted; the last of them predicts the first token behind it.
    """

    main: ClassVar[str] = "continuation"

    def prepare(self, example, rng, tokenizer):
        prefix, segments = np.zeros_like(example["segments"]), example["segments"]
        for number in range(1, segments.max(initial=0) + 1):
            own = np.flatnonzero(segments == number)
            prefix[own[:rng.integers(1, max(len(own), 2))]] = 1
        row = super().prepare(example, rng, tokenizer)
        return {**row, "prefix": prefix[:-1],
                "weights": row["weights"] * (prefix[1:] == 0).astype(np.float32)}
