"""A packed row is its documents; padding is nothing."""

import jax.numpy as jnp
import numpy as np
import pytest

FAMILIES = ("gpt1", "gpt2", "llama", "bert", "vaswani")
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


@pytest.mark.parametrize("name", FAMILIES)
def test_packed_row_equals_separate_rows(tiny, name):
    small = tiny(name)
    batch = packed(small)
    logits_BTV = small.forward(small.params, batch)[small.head]
    for n, (start, stop) in enumerate(CUTS):
        alone_TV = logits_BTV[n + 1, :stop - start]
        np.testing.assert_allclose(logits_BTV[0, start:stop], alone_TV, atol=2e-5)


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
    before, after = (np.asarray(small.forward(small.params, b)[small.head]) for b in (batch, other))
    same = (before == after).all(-1)
    kept = np.zeros(same.shape, bool)
    kept[0, slice(*CUTS[1])] = True
    np.testing.assert_array_equal(same, kept)
