"""A model without a tokenizer: it takes token ids, and no text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from transformer.data.tokenizer import Tokenizer, TokenizerSpec
from transformer.error import UserError
from transformer.spec import Count


class NoText(TokenizerSpec):
    """Stands where a checkpoint came without a tokenizer. size: V, the ids of the model."""

    size: Count

    def train(self, documents: Iterable[str] = ()) -> Tokenizer:
        return self.open({})

    def open(self, content: dict[str, bytes]) -> Tokenizer:
        return NoTextTokenizer(self, content, self.size, {})


class NoTextTokenizer(Tokenizer):
    """Every door for text is closed, with the same explanation."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        raise self._closed()

    def spans(self, text: str):
        raise self._closed()

    def _text(self, ids: list[int]) -> str:
        raise self._closed()

    def piece(self, token: int) -> str:
        return f"<{token}>"

    def word_starts(self) -> np.ndarray:
        return np.ones(self.size, bool)

    def _closed(self) -> UserError:
        return UserError("this checkpoint was imported without a tokenizer, so it reads token ids "
                         "only (`python -m transformer logits`); import it again from a directory "
                         "with tokenizer.json, vocab.txt, vocab.json and merges.txt, or a "
                         "SentencePiece model")
