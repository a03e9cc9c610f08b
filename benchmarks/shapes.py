"""The fixed shapes on which this project is compared with others."""

from __future__ import annotations

import dataclasses

import numpy as np

VOCAB, WIDTH, HEADS = 8192, 256, 4


@dataclasses.dataclass(frozen=True)
class Shape:
    """depth: layers of each stack. rows: B. length: T, tokens of a row. source: S, 0 for none.
    masked: slots predicted in a row, 0 where every position predicts. vocab: of the ids."""

    depth: int
    rows: int
    length: int
    source: int = 0
    masked: int = 0
    vocab: int = VOCAB

    @property
    def tokens(self) -> int:
        """Tokens that a step reads, the source's too."""
        return self.rows * (self.length + self.source)

    def batch(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Uniformly drawn ids: speed does not depend on what they say. Both sides get the same."""
        rng = np.random.default_rng(seed)
        draw = lambda *shape: rng.integers(10, self.vocab, shape, dtype=np.int32)
        batch = {"tokens": draw(self.rows, self.length)}
        if self.source:
            batch["source_tokens"] = draw(self.rows, self.source)
        slots = self.masked or self.length
        if self.masked:
            order = rng.permuted(np.tile(np.arange(self.length), (self.rows, 1)), axis=1)
            batch["masked"] = np.sort(order[:, :slots], axis=1).astype(np.int32)
        return batch | {"targets": draw(self.rows, slots)}


SHAPES = {
    "gpt": Shape(depth=4, rows=16, length=256),
    "bert": Shape(depth=4, rows=32, length=128, masked=round(0.15 * 128)),
    "encoder_decoder": Shape(depth=3, rows=16, length=128, source=128),
}
