"""Losses per prediction: closed forms, gradients, ranges and types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from transformer.ops.loss import Term, cross_entropy, hits, squared_error, weighted

LOGITS = np.random.default_rng(0).normal(size=(3, 5, 7)) * 4
TARGETS = np.random.default_rng(1).integers(7, size=(3, 5))


def smoothed(on, off):
    """-sum q log p in float64, q written out."""
    q = np.full(LOGITS.shape, off)
    np.put_along_axis(q, TARGETS[..., None], on, axis=-1)
    return -(q * log_softmax(LOGITS, -1)).sum(-1), q


def test_plain_is_minus_log_probability():
    found = cross_entropy(jnp.array(LOGITS, jnp.float32), jnp.array(TARGETS))
    np.testing.assert_allclose(found, smoothed(1.0, 0.0)[0], rtol=1e-5, atol=2e-6)


def test_uniform_logits_cost_log_of_the_vocabulary():
    found = cross_entropy(jnp.zeros((2, 11)), jnp.array([0, 10]))
    np.testing.assert_allclose(found, np.log(11), rtol=1e-6)


def test_smoothing_over_all_classes_counts_the_target_among_them():
    expected, q = smoothed(0.9 + 0.1 / 7, 0.1 / 7)
    np.testing.assert_allclose(q.sum(-1), 1)
    found = cross_entropy(jnp.array(LOGITS, jnp.float32), jnp.array(TARGETS), 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_smoothing_over_others_is_a_divergence():
    expected, q = smoothed(0.9, 0.1 / 6)
    expected += (q * np.log(q)).sum(-1)
    found = cross_entropy(jnp.array(LOGITS, jnp.float32), jnp.array(TARGETS), 0.1, "others")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    perfect = jnp.log(jnp.array(q, jnp.float32))
    np.testing.assert_allclose(cross_entropy(perfect, jnp.array(TARGETS), 0.1, "others"), 0,
                               atol=2e-6)


@pytest.mark.parametrize("how", [{}, {"smoothing": 0.1}], ids=str)
def test_z_adds_the_squared_log_of_the_normaliser(how):
    logits, targets = jnp.array(LOGITS, jnp.float32), jnp.array(TARGETS)
    more = cross_entropy(logits, targets, z=0.01, **how) - cross_entropy(logits, targets, **how)
    np.testing.assert_allclose(more, 0.01 * np.log(np.exp(LOGITS).sum(-1)) ** 2, rtol=1e-3)
    shift = lambda c: cross_entropy(logits + c, targets, z=0.01).sum()  # plain loss has none
    assert abs(jax.grad(lambda c: cross_entropy(logits + c, targets).sum())(0.0)) < 1e-4
    assert jax.grad(shift)(0.0) > 0.1


@pytest.mark.parametrize("smoothing, spread, on, off", [
    (0.0, "all", 1.0, 0.0), (0.1, "all", 0.9 + 0.1 / 7, 0.1 / 7), (0.1, "others", 0.9, 0.1 / 6)])
def test_gradient_is_probability_minus_target(smoothing, spread, on, off):
    logits, targets = jnp.array(LOGITS, jnp.float32), jnp.array(TARGETS)
    found = jax.grad(lambda x: cross_entropy(x, targets, smoothing, spread).sum())(logits)
    expected = np.exp(log_softmax(LOGITS, -1)) - smoothed(on, off)[1]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_half_precision_logits_are_summed_in_float32():
    logits, targets = jnp.zeros((1, 4096), jnp.bfloat16), jnp.array([3])
    found = cross_entropy(logits, targets, 0.1)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.log(4096), rtol=1e-6)  # bfloat16 would give 8.3125
    gradient = jax.grad(lambda x: cross_entropy(x, targets).sum())(logits)
    assert gradient.dtype == jnp.bfloat16


def test_large_logits_do_not_overflow():
    logits = jnp.array([[1e4, 0.0, -1e4]])
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([2])), 2e4)
    assert np.isfinite(jax.grad(lambda x: cross_entropy(x, jnp.array([2])).sum())(logits)).all()


def test_hits_are_argmax_even_where_logits_tie():
    logits = jnp.round(jnp.array(LOGITS, jnp.float32) / 4)  # so coarse that ties abound
    ties = (np.sort(logits, -1)[..., -1] == np.sort(logits, -1)[..., -2]).mean()
    assert ties > 0.2
    for target in range(7):
        targets = jnp.full((3, 5), target)
        np.testing.assert_array_equal(hits(logits, targets), logits.argmax(-1) == target)


def test_logits_that_are_not_numbers_never_hit():
    assert hits(jnp.full((1, 3), jnp.nan), jnp.array([0])) == 0.0


def test_weighted_sums_and_counts():
    term = weighted(jnp.array([1.0, 5.0, 7.0]), jnp.array([True, False, True]), 0.5)
    assert term == Term(8.0, 2.0, 0.5)


def test_squared_error():
    found = squared_error(jnp.array([1.0, -2.0]), jnp.array([3.0, -2.0]))
    np.testing.assert_allclose(found, [4, 0])
