"""Where sentences end, told from token ids alone.

A sentence ends with a line, and after a full stop, question or exclamation mark (and the quotes or
brackets that close behind it) where a new word follows. "3.14" is whole, "Mr. Smith" is not: that
is what ids can tell. Text with a sentence on each line is read as its author cut it.
"""

from __future__ import annotations

import functools

import numpy as np

STOPS = ".!?…。！？"
CLOSING = "\"'”’)]»」』"


class Sentences:
    """The ends of sentences in the tokens of one tokenizer; see `sentences_of`."""

    def __init__(self, tokenizer):
        texts = [tokenizer.decode([token]) for token in range(tokenizer.size)]
        bare = [text.strip().rstrip(CLOSING) for text in texts]
        self._line = np.array(["\n" in text for text in texts])
        self._stop = np.array([text.endswith(tuple(STOPS)) for text in bare])
        self._closing = np.array([bool(text) and not text.strip(CLOSING) for text in texts])
        self._starts = tokenizer.word_starts()

    def last(self, tokens: np.ndarray) -> np.ndarray:
        """bool [T]: the token is the last of a sentence, as far as the tokens behind it tell."""
        stop, line = self._stop[tokens], self._line[tokens]
        closing, more = self._closing[tokens], True
        while more:  # each round reaches one closing mark further
            reached = stop.copy()
            reached[1:] |= closing[1:] & stop[:-1]
            stop, more = reached, bool((reached != stop).any())
        inside = stop | line
        last = inside.copy()
        last[:-1] &= ~inside[1:] & (line[:-1] | self._starts[tokens[1:]])
        return last

    def ends(self, tokens: np.ndarray) -> np.ndarray:
        """int64 [sentences]: the place after the last token of each; the text's end is the last."""
        ends = np.flatnonzero(self.last(tokens)) + 1
        return ends if len(ends) and ends[-1] == len(tokens) else np.append(ends, len(tokens))


@functools.lru_cache(maxsize=8)
def sentences_of(tokenizer) -> Sentences:
    """Found once for each tokenizer: every id is decoded for it."""
    return Sentences(tokenizer)
