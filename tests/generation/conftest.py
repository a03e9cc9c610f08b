"""Prompts of unequal length, and a model of two lines whose every probability is known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

TABLE = np.log(np.array([  # row: the last token; column: the next; no row has a tie
    [0.40, 0.30, 0.20, 0.10],
    [0.10, 0.15, 0.70, 0.05],
    [0.05, 0.10, 0.15, 0.70],
    [0.55, 0.25, 0.15, 0.05]], np.float32))


@dataclasses.dataclass(frozen=True)
class Chain:
    """A Markov chain with the doors of a model.

    `steps` counts the calls of `decode` and `grow` that ran.
    """

    limit: int | None = None
    steps: ClassVar[list] = []

    @property
    def spec(self):
        position = SimpleNamespace(limit=lambda: self.limit)
        return SimpleNamespace(embedding=SimpleNamespace(position=position))

    def open(self, params, batch, capacity, slots=None):
        rows = len(batch["tokens"])
        return {"slot": jnp.int32(0), "next": jnp.zeros(rows, jnp.int32), "layers": ()}

    def decode(self, params, cache, tokens_BT, segments_BT):
        jax.debug.callback(lambda: self.steps.append(1))
        last_B = tokens_BT.shape[1] - 1 - jnp.argmax(segments_BT[:, ::-1], 1)
        return params[jnp.take_along_axis(tokens_BT, last_B[:, None], 1)[:, 0]], cache

    def split(self, cache, width):
        return cache

    def grow(self, params, cache, tokens_BW, parent_BW, segments_BW):
        jax.debug.callback(lambda: self.steps.append(1))
        return params[tokens_BW], cache


@pytest.fixture
def chain():
    """(a Chain without a limit, its parameters); nothing counted yet."""
    jax.effects_barrier()
    Chain.steps.clear()
    return Chain(), jnp.asarray(TABLE)


@pytest.fixture(scope="session")
def limited():
    """limited(n): a Chain of n positions."""
    return Chain


@pytest.fixture(scope="session")
def prompts():
    """prompts(small model): a batch of four rows of 6, 1, 4 and 3 tokens, and sources to match."""
    def prompts(small):
        batch = {name: np.asarray(value) for name, value in small.batch.items()}
        ragged = {"tokens": batch["tokens"][:, :6],
                  "segments": (np.arange(6) < np.array([[6], [1], [4], [3]])).astype(np.int32)}
        if "source_tokens" in batch:
            source = np.arange(7) < np.array([[3], [7], [5], [1]])
            ragged |= {"source_tokens": batch["source_tokens"],
                       "source_segments": source.astype(np.int32)}
        return ragged
    return prompts
