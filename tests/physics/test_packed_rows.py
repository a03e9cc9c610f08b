"""A packed row is its documents; padding is nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
from families import ALL, cells

FAMILIES = cells(ALL, ("gpt1", "gpt2", "gpt3", "llama", "bert", "electra", "modernbert", "t5",
                       "vaswani"))
CUTS = ((0, 5), (5, 9))  # two documents of the first row
SOURCE_CUTS = ((0, 3), (3, 6))


def laid_out(batch, side, cuts):
    """Row 0: the documents packed. Rows 1 and 2: each alone. All padded with other tokens."""
    tokens = np.asarray(batch[side + "tokens"]).copy()
    segments, positions = np.zeros_like(tokens), np.zeros_like(tokens)
    for n, (start, stop) in enumerate(cuts):
        tokens[n + 1, :stop - start] = tokens[0, start:stop]
        segments[n + 1, :stop - start], segments[0, start:stop] = 1, n + 1
        positions[n + 1, :stop - start] = positions[0, start:stop] = np.arange(stop - start)
    named = {"tokens": tokens, "segments": segments, "positions": positions}
    return {side + name: jnp.asarray(value) for name, value in named.items()}


def packed(small):
    batch = {**small.batch, **laid_out(small.batch, "", CUTS)}
    if "source_tokens" in batch:
        batch |= laid_out(batch, "source_", SOURCE_CUTS)
    if "types" in batch:
        batch["types"] = jnp.zeros_like(batch["types"])
    return batch


def outputs(small, batch):
    """What every head says of each token, [B, T, ...]."""
    found = small.forward(small.params, batch)
    return [np.asarray(found[name]) for name, head in small.spec.heads if head.reads != "row"]


@pytest.mark.parametrize("name", FAMILIES)
def test_packed_row_equals_separate_rows(tiny, name):
    small = tiny(name)
    batch = packed(small)
    for logits in outputs(small, batch):
        for n, (start, stop) in enumerate(CUTS):
            alone = logits[n + 1, :stop - start]
            np.testing.assert_allclose(logits[0, start:stop], alone, atol=2e-5)


def disturbed(batch, side, start, stop):
    """All tokens of one side exchanged, except those of one document of row 0."""
    tokens = np.array(batch[side + "tokens"])
    others = np.ones(tokens.shape, bool)
    others[0, start:stop] = False
    tokens[others] = (tokens[others] + 100) % 256
    return {side + "tokens": jnp.asarray(tokens)}


@pytest.mark.parametrize("name", FAMILIES)
def test_other_documents_and_padding_change_no_bit(tiny, name):
    small = tiny(name)
    batch = packed(small)
    other = batch | disturbed(batch, "", *CUTS[1])
    if "source_tokens" in batch:
        other |= disturbed(batch, "source_", *SOURCE_CUTS[1])
    for before, after in zip(outputs(small, batch), outputs(small, other), strict=True):
        same = (before == after).reshape(*before.shape[:2], -1).all(-1)
        kept = np.zeros(same.shape, bool)
        kept[0, slice(*CUTS[1])] = True
        np.testing.assert_array_equal(same, kept)
