"""The plan of an epoch of pairs: BERT's walk through a document, taken in all documents at once."""

from __future__ import annotations

import numpy as np

from transformer.data.layout import Layout

FORMAT = 1  # of the plans; another way of pairing needs another number
FIELDS = 5  # of a pair: first and last token of A, of B (the last excluded), and its label


def is_plan(table: np.ndarray) -> bool:
    """Whether a stored array can be a plan."""
    return table.dtype == np.int64 and table.ndim == 2 and table.shape[1] == FIELDS


def plan(layout: Layout, room: int, short: float, swap: bool,
         rng: np.random.Generator) -> np.ndarray:
    """int64 [pairs, FIELDS], document by document; see `pairs.Pairs` for the rules.

    Args:
      room: tokens of a pair without its special pieces. short: share of documents with a target
        below it. swap: whether the contrast is the swapped order.
    """
    documents = np.arange(len(layout))
    targets = np.where(rng.random(len(layout)) < short, _pick(rng, 2, room, len(layout)), room)
    at, found = layout.first[:-1].copy(), []  # the sentence where each document's walk stands
    while len(documents):
        target, last = targets[documents], layout.first[documents + 1] - 1
        begin = layout.begin(documents, at)
        end = np.minimum(np.searchsorted(layout.ends, begin + target), last)
        count = end - at + 1
        middle = at + _pick(rng, 1, np.maximum(count - 1, 1), len(at))  # the first sentence of B
        lone, contrast = count == 1, rng.random(len(at)) < 0.5
        other = lone | (contrast & (not swap))
        one = np.stack([begin, layout.ends[middle - 1]], 1)
        two = np.stack([layout.ends[middle - 1], layout.ends[end]], 1)
        two = np.where(other[:, None], _elsewhere(layout, documents, target, one, rng), two)
        turned = (contrast & swap & ~lone)[:, None]
        one, two = np.where(turned, two, one), np.where(turned, one, two)
        pairs = np.concatenate([*_truncated(one, two, room, rng)], 1)
        label = other | turned[:, 0]
        found.append(np.concatenate([documents[:, None], pairs, label[:, None]], 1))
        at = np.where(other, middle, end + 1)  # what was not used is put back
        going = at <= last
        documents, at = documents[going], at[going]
    table = np.concatenate(found)
    return table[np.argsort(table[:, 0], kind="stable"), 1:]


def _pick(rng, low, high, size: int) -> np.ndarray:
    """Integers uniform in [low, high]."""
    return (low + rng.random(size) * (high - low + 1)).astype(np.int64)


def _elsewhere(layout: Layout, documents, target, one, rng) -> np.ndarray:
    """Sentences of another document from a random one on, until they fill the target with A."""
    other = _pick(rng, 0, len(layout) - 2, len(documents))
    other += other >= documents
    first, last = layout.first[other], layout.first[other + 1] - 1
    start = _pick(rng, first, last, len(documents))
    begin = layout.begin(other, start)
    wanted = np.maximum(target - (one[:, 1] - one[:, 0]), 1)
    end = np.minimum(np.searchsorted(layout.ends, begin + wanted), last)
    return np.stack([begin, layout.ends[end]], 1)


def _truncated(one, two, room: int, rng) -> list[np.ndarray]:
    """Both runs, with tokens taken off the longer one until they fit; at a tie off the second.

    Each token is taken from the front or the back with equal chance.
    """
    sizes = np.stack([one[:, 1] - one[:, 0], two[:, 1] - two[:, 0]], 1)
    halves = np.array([room - room // 2, room // 2])
    over = np.maximum(sizes - np.maximum(halves, room - sizes[:, ::-1]), 0)
    front = rng.binomial(over, 0.5)
    return [run + np.stack([front[:, n], front[:, n] - over[:, n]], 1)
            for n, run in enumerate((one, two))]
