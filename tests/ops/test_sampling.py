"""Temperature, top-k and top-p against what they must be on distributions known by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.ops.sampling import Greedy, Sample, argmax, top_k, top_p

KNOWN = np.array([0.15, 0.5, 0.1, 0.25], np.float32)
LOGITS = jnp.log(jnp.asarray(KNOWN))[None] + 3  # a constant is free


def kept(logits_BV) -> list[int]:
    """The tokens that may be drawn in the only row."""
    return np.flatnonzero(np.isfinite(np.asarray(logits_BV)[0])).tolist()


@pytest.mark.parametrize("k,want", [(1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]),
                                    (9, [0, 1, 2, 3])])
def test_top_k_keeps_the_k_largest(k, want):
    assert kept(top_k(LOGITS, k)) == want


@pytest.mark.parametrize("p,want", [
    (1e-9, [1]), (0.49, [1]),
    (0.51, [1, 3]),  # the token that crosses p stays (Holtzman 2020), GPT-2's code drops it
    (0.74, [1, 3]), (0.76, [0, 1, 3]), (0.91, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3]),
])
def test_top_p_keeps_the_token_that_crosses(p, want):
    assert kept(top_p(LOGITS, p)) == want


def test_what_stays_keeps_its_logit():
    np.testing.assert_array_equal(top_p(top_k(LOGITS, 3), 0.9)[0, [0, 1, 3]], LOGITS[0, [0, 1, 3]])


def sorted_top_p(logits, p):
    """The nucleus as it is usually written: sort, add up, cut."""
    order = np.argsort(-logits, kind="stable")
    probability = np.exp(logits[order].astype(np.float64))
    before = np.cumsum(probability / probability.sum()) - probability / probability.sum()
    keep = np.zeros(len(logits), bool)
    keep[order[before < p]] = True
    return np.flatnonzero(keep).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_top_k_and_top_p_equal_the_sorted_way(seed):
    draw = np.random.default_rng(seed)
    logits = (draw.standard_normal((1, 500)) * draw.uniform(0.1, 8)).astype(np.float32)
    for p in (0.05, 0.3, 0.9, 0.99):
        assert kept(top_p(jnp.asarray(logits), p)) == sorted_top_p(logits[0], p)
    for k in (1, 7, 499):
        assert kept(top_k(jnp.asarray(logits), k)) == sorted(np.argsort(-logits[0])[:k].tolist())


def test_the_order_is_temperature_then_k_then_p():
    # squared, the largest holds 0.72 of the mass and is a nucleus of 0.7 by itself
    assert kept(Sample(temperature=0.5, top_p=0.7).keep(LOGITS)) == [1]
    assert kept(Sample(top_p=0.7).keep(LOGITS)) == [1, 3]
    # of the two largest alone, the first holds 0.67
    assert kept(Sample(top_k=2, top_p=0.6).keep(LOGITS)) == [1]
    assert kept(Sample(top_p=0.6).keep(LOGITS)) == [1, 3]


@pytest.mark.parametrize("sample,want", [
    (Sample(), KNOWN),
    (Sample(temperature=0.5), KNOWN**2),
    (Sample(temperature=2.0), KNOWN**0.5),
    (Sample(top_k=2), KNOWN * [0, 1, 0, 1]),
    (Sample(top_p=0.8), KNOWN * [1, 1, 0, 1]),
], ids=str)
def test_frequencies_are_the_probabilities(sample, want):
    draws = 20_000
    keys = jax.random.split(jax.random.key(0), draws)
    drawn = jax.jit(sample)(jnp.broadcast_to(LOGITS, (draws, 4)), keys)
    found, want = np.bincount(drawn, minlength=4) / draws, want / want.sum()
    assert (np.abs(found - want) <= 3 * np.sqrt(want * (1 - want) / draws)).all(), (found, want)


@pytest.mark.parametrize("temperature", [1e-4, 1e-30, 1e-50])
def test_cold_sampling_is_greedy(temperature):
    logits = jax.random.normal(jax.random.key(1), (8, 300)) * 20
    cold = Sample(temperature=temperature)(logits, jax.random.split(jax.random.key(2), 8))
    np.testing.assert_array_equal(cold, Greedy()(logits, None))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_argmax_is_the_first_of_the_largest(dtype):
    x = jax.random.randint(jax.random.key(0), (50, 40), -5, 5).astype(dtype)
    np.testing.assert_array_equal(argmax(x), jnp.argmax(x, -1))
    assert argmax(x).dtype == jnp.int32
    assert argmax(jnp.full((1, 7), jnp.nan))[0] in range(7)  # never beyond the vocabulary


def test_a_row_is_drawn_by_its_own_key():
    logits = jax.random.normal(jax.random.key(1), (6, 300))
    keys = jax.random.split(jax.random.key(2), 6)
    whole = Sample(top_k=200, top_p=0.99)(logits, keys)
    for n in range(6):
        assert whole[n] == Sample(top_k=200, top_p=0.99)(logits[n:n + 1], keys[n:n + 1])[0]
    assert len(set(Sample()(jnp.zeros((6, 300)), keys).tolist())) > 1


@pytest.mark.parametrize("field,value", [("temperature", 0.0), ("temperature", -1.0),
                                         ("temperature", float("nan")), ("top_k", 0),
                                         ("top_p", 0.0), ("top_p", 1.5)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=field):
        Sample(**{field: value})
