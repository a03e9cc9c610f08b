"""Source and target from one row of running text, for encoder-decoders (Raffel 2020 §3.1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.objectives.objective import pieces, special
from transformer.objectives.sequence_to_sequence import SequenceToSequence


class FromText(SequenceToSequence):
    """Base of the objectives that rewrite text; a subclass gives `sides` and `make`.

    The special pieces of a row, such as the ends of its documents, are left out, and what is left
    is read as one text: T5's rows have no ends inside either. Rows of one text are the best fit:
    Chunks(cross_documents=True), or Padded. Both sides end with eos, and are padded to what a row
    full of text would need. A row of fewer than two tokens predicts nothing.

    opening: special piece that a source begins with, if any.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    opening: ClassVar[str | None] = None

    def sides(self, length: int) -> tuple[int, int]:
        """(S, T): the most tokens that source and target of a row of `length` can have."""
        raise NotImplementedError

    def read(self, length, source=None):
        S, T = self.sides(length + self.lookahead)
        return T, S

    def make(self, text: np.ndarray, rng: np.random.Generator, tokenizer):
        """(source, target) of at least two tokens, int arrays without eos."""
        raise NotImplementedError

    def prepare(self, example, rng, tokenizer):
        """tokens, segments [L] -> source_tokens, source_segments [S], tokens, targets, ... [T]."""
        tokens, eos = example["tokens"], special(tokenizer, "eos")
        text = tokens[(example["segments"] > 0) & pieces(tokenizer).text[tokens]]
        made = ()
        if len(text) > 1:
            made = [np.append(side, eos) for side in self.make(text, rng, tokenizer)]
        S, T = self.sides(len(tokens))
        pad = tokenizer.special.get("pad", 0)
        source, source_segments = _padded(made[:1], S, pad)
        target, segments = _padded(made[1:], T, pad)
        pair = {"tokens": target, "segments": segments, "source_tokens": source,
                "source_segments": source_segments}
        return super().prepare(pair, rng, tokenizer)


def _padded(side, size: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, segments), int32 [size], of one side or none."""
    tokens = np.concatenate([*side, np.zeros(0, np.int32)])
    unused = (0, size - len(tokens))
    return (np.pad(tokens, unused, constant_values=pad).astype(np.int32),
            np.pad(np.ones(len(tokens), np.int32), unused))
