"""Running text cut into rows of one length."""

from __future__ import annotations

import numpy as np

from transformer.data.corpus import Corpus
from transformer.data.rowset import Example, Rows, RowsSpec
from transformer.error import UserError


class Chunks(RowsSpec):
    """The concatenated documents, cut every `length` tokens; the last row is padded.

    With a lookahead of one, consecutive rows share a token, so that every token but the first is a
    target exactly once. Unless `cross_documents`, the documents in a row are numbered in `segments`
    and `positions` start over with each, so that none sees another.
    """

    cross_documents: bool = False

    def build(self, data: Corpus, lookahead: int = 0, tokenizer=None) -> Rows:
        """Rows of {tokens, segments, and unless crossing positions}, int32 [length + lookahead].

        Raises:
          UserError: the corpus has not even one token to predict, or the data is no corpus.
        """
        if not isinstance(data, Corpus):
            raise UserError("Chunks cuts running text; labelled examples need Padded rows")
        return _Chunks(self, data, lookahead)


class _Chunks(Rows):
    def __init__(self, spec: Chunks, corpus: Corpus, lookahead: int):
        super().__init__(spec, corpus.fingerprint, corpus.tokenizer, lookahead)
        if len(corpus) <= lookahead:
            raise UserError(f"the corpus has {len(corpus)} tokens, a row needs {lookahead + 1}; "
                            "give more text")
        self._corpus = corpus
        self.count = -(-(len(corpus) - lookahead) // spec.length)

    def example(self, row: int, width: int = 0) -> Example:
        corpus, size = self._corpus, self.spec.length + self.lookahead
        start = corpus.start + row * self.spec.length
        stop = min(start + size, corpus.stop)
        tokens = np.full(size, self.pad, np.int32)
        tokens[:stop - start] = corpus.read(start, stop)
        segments = np.zeros(size, np.int32)
        if self.spec.cross_documents:
            segments[:stop - start] = 1
            return {"tokens": tokens, "segments": segments}
        numbers, positions = _documents(corpus.ends, start, stop)
        segments[:stop - start] = numbers
        return {"tokens": tokens, "segments": segments, "positions": _padded(positions, size)}


def _documents(ends: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Document numbers from 1, and positions from each document's first token in the row."""
    first, last = np.searchsorted(ends, [start, stop - 1], "right")
    begins = np.zeros(stop - start, np.int32)
    begins[ends[first:last] - start] = 1
    at = np.arange(stop - start, dtype=np.int32)
    return np.cumsum(begins) + 1, at - np.maximum.accumulate(at * begins)


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros(size, np.int32)
    out[:len(array)] = array
    return out
