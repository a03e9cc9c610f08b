"""What every objective shares: its doors, its cost accounting, and how a batch is read.

Batches here are numpy on the host and traced inside the step alike, and may carry a leading axis of
accumulation slices; sums over them use only what both kinds of array understand.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np

from transformer.data.special import stands_for_text
from transformer.error import UserError
from transformer.ops.loss import Term
from transformer.spec import Spec

_NOT_HEADS = ("hidden", "left", "memory", "pooled")


class Objective(Spec):
    """What a model is trained for. Spellings of the batch: see `prepare` of each objective.

    lookahead: tokens that a row carries beyond the T that the model reads.
    needs: arrays that a row must have besides tokens and segments.
    main: the term whose weight counts the predictions scored.
    language: the term that is nats per token of text, where that is another.
    """

    lookahead: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[str]
    language: ClassVar[str | None] = None

    def prepare(self, example: dict, rng: np.random.Generator, tokenizer) -> dict:
        """One padded row as the model and `loss` want it. Host, numpy; shapes never depend on rng.

        Args:
          example: arrays of one row, `segments` among them (0 = padding).
          rng: keyed by seed and global example number, so that a row is corrupted anew each epoch
            and alike on every run.
          tokenizer: its `special` pieces and `size` are read.
        """
        return example

    def read(self, length: int, source: int | None = None) -> tuple[int, int]:
        """(T, S): how many tokens the model reads, and those of the source if it has one, of rows
        of these lengths."""
        return length, source or length

    def weights(self, batch) -> dict[str, Any]:
        """{term: total weight} over the whole batch, without running the model."""
        raise NotImplementedError

    def loss(self, apply, params, batch, rng, train: bool) -> dict[str, Term]:
        """The terms of one batch. Pure.

        Args:
          apply: (params, batch, rng or None) -> {head: logits}; see `Model.apply` for `part`.
          rng: a key; it reaches the model only where `train` is true.

        Returns:
          Sums with the weights seen: a subset of the names of `weights`, equal in value. Hits over
          a whole vocabulary cost a pass over all logits, so a training step leaves them out.
        """
        raise NotImplementedError

    def ids(self, tokenizer) -> int:
        """How many ids a model needs for the batches that `prepare` makes."""
        return tokenizer.size

    def units(self, batch) -> tuple[float, float]:
        """(data units, optimisation units): tokens seen, source too, and predictions scored."""
        seen = sum(float((batch[name] > 0).sum())
                   for name in ("segments", "source_segments") if name in batch)
        return seen, float(self.weights(batch)[self.main])

    def run(self, apply, params, batch, rng, train: bool, **part) -> Outputs:
        """The model's outputs, or those of a part of it, in training mode or not."""
        return Outputs(self, apply(params, batch, rng if train else None, **part))


class Outputs:
    """Heads by name; a missing one is the user's mistake, not a KeyError."""

    def __init__(self, objective: Objective, heads: dict):
        self.objective, self.heads = objective, heads

    def __getitem__(self, name: str):
        if name not in self.heads:
            kind, known = type(self.objective).__name__, sorted(set(self.heads) - set(_NOT_HEADS))
            hint = "set auxiliary=0.0" if name == "logits" and hasattr(
                self.objective, "auxiliary") else "choose another objective"
            raise UserError(f"{kind} reads the head {name!r}, but the model has {known}: "
                            f"add that head or {hint}")
        return self.heads[name]


def present(batch, shape: tuple[int, ...]):
    """1.0 for each example that has a token, 0.0 for padding rows; rows of choices count once.

    Args:
      shape: of the examples, [B] or [A, B]; `segments` may hold several rows for each.
    """
    rows = (batch["segments"] > 0).any(-1)
    return rows.reshape(tuple(shape) + (-1,)).any(-1).astype("float32")


def special(tokenizer, name: str) -> int:
    """The id of a special piece. UserError if this tokenizer has none of that name."""
    if name not in tokenizer.special:
        raise UserError(f"the tokenizer has no special piece {name!r} (it has "
                        f"{', '.join(tokenizer.special)}); train one that has it")
    return tokenizer.special[name]


class Pieces(NamedTuple):
    """What is known of each id, bool [V].

    ordinary: no special piece. text: stands for text, as unk does. starts: begins a word.
    """

    ordinary: np.ndarray
    text: np.ndarray
    starts: np.ndarray


@functools.lru_cache(maxsize=8)
def pieces(tokenizer) -> Pieces:
    """Found once for each tokenizer."""
    ordinary = np.ones(tokenizer.size, bool)
    ordinary[list(tokenizer.special.values())] = False
    return Pieces(ordinary, stands_for_text(tokenizer), tokenizer.word_starts())


def refuse_negative(example: dict) -> dict:
    """`example`, after a look at its labels: jax reads -1 as the last class without a word."""
    if np.min(example["labels"], initial=0) < 0:
        raise UserError(f"label {np.min(example['labels'])} is negative; labels count from 0, and "
                        "what is not to be scored has weight 0")
    return example
