"""The layout of a corpus: where every sentence of every document begins and ends."""

from __future__ import annotations

import numpy as np

from transformer.data.corpus import Corpus
from transformer.data.fingerprint import digest
from transformer.data.plan import kept
from transformer.data.sentences import sentences_of
from transformer.data.special import stands_for_text

FORMAT = 1  # of the layout; another idea of a sentence needs another number
BLOCK = 1 << 22  # tokens that are looked at together
MARGIN = 64  # tokens on either side of a block, for the quotes that close behind a full stop
SMALL = 1 << 16  # tokens; a smaller corpus is laid out again faster than that is worth a file


class Layout:
    """Documents with text in them, as runs of sentences; special pieces belong to none.

    Attributes:
      ends: int64 [sentences], the token after the last of each.
      first: int64 [documents + 1], the first sentence of each, and how many there are.
    """

    def __init__(self, corpus: Corpus):
        self.ends = self._ends(corpus)
        starts, stops = corpus.spans()
        until = np.searchsorted(self.ends, stops, "right")
        held = np.diff(until, prepend=0) > 0
        self.first = np.concatenate([[0], until[held]])
        self._starts = starts[held]

    def __len__(self) -> int:
        return len(self._starts)

    def begin(self, documents: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        """The first token of each of these sentences, which lie in these documents."""
        return np.where(sentences == self.first[documents], self._starts[documents],
                        self.ends[sentences - 1])

    @staticmethod
    def _ends(corpus: Corpus) -> np.ndarray:
        if len(corpus) < SMALL:
            return sentence_ends(corpus)
        name = digest([FORMAT, corpus.fingerprint])[:32]
        return kept(corpus.directory / "plans" / f"{name}.npy",
                    lambda ends: ends.ndim == 1 and len(ends) and ends[-1] <= corpus.stop,
                    lambda: sentence_ends(corpus))


def sentence_ends(corpus: Corpus) -> np.ndarray:
    """int64 [sentences]: the token after the last of each sentence in view."""
    text, sentences = stands_for_text(corpus.tokenizer), sentences_of(corpus.tokenizer)
    stops, found = corpus.spans()[1], []
    for start in range(corpus.start, corpus.stop, BLOCK):
        stop = min(start + BLOCK, corpus.stop)
        low, high = max(start - MARGIN, corpus.start), min(stop + MARGIN, corpus.stop)
        tokens = corpus.read(low, high)
        here = text[tokens]
        last = sentences.last(tokens)
        last[:-1] |= ~here[1:]  # before a special piece
        last[stops[np.searchsorted(stops, low + 1):np.searchsorted(stops, high, "right")]
             - low - 1] = True  # at the end of a document
        ends = np.flatnonzero(last & here) + low + 1
        found.append(ends[(ends > start) & (ends <= stop)])
    return np.concatenate(found).astype(np.int64)
