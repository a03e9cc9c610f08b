"""Metrics of labels and numbers against hand-worked values and other formulas."""

import math

import numpy as np
import pytest
from scipy import stats

from transformer.tasks.metric import (accuracy, bits_per_byte, f1, macro_f1, matthews, pearson,
                                      perplexity, ranks, spearman)

# 6 right of 10: "b" has 3 true positives, 1 false one and 2 missed.
TRUTH = list("aaabbbbbcc")
GUESS = list("aacbbbaacb")


def test_accuracy():
    assert accuracy(GUESS, TRUTH) == 0.6
    assert accuracy([], []) == 0.0
    with pytest.raises(ValueError):
        accuracy([1], [1, 2])


def test_f1_of_one_class():
    assert f1(GUESS, TRUTH, "b") == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert f1(["a"], ["a"], "b") == 0.0


def test_macro_f1_is_the_plain_mean_over_classes():
    a, b, c = 2 * 2 / (4 + 3), 2 * 3 / (4 + 5), 2 * 1 / (2 + 2)
    assert macro_f1(GUESS, TRUTH) == pytest.approx((a + b + c) / 3)
    assert macro_f1(["a", "d"], ["a", "a"]) == pytest.approx((2 / 3 + 0) / 2)


def test_matthews_of_two_classes_is_its_textbook_form():
    guess, truth = [1, 1, 1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0, 1, 1]
    tp, tn, fp, fn = 3, 3, 1, 1
    expected = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert matthews(guess, truth) == pytest.approx(expected)


def test_matthews_of_many_classes_is_a_correlation_of_indicators():
    def indicators(labels):
        table = np.array([[label == c for c in "abc"] for label in labels], float)
        return table - table.mean(0)

    x, y = indicators(GUESS), indicators(TRUTH)
    expected = (x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum())
    assert matthews(GUESS, TRUTH) == pytest.approx(expected)
    assert matthews(TRUTH, TRUTH) == pytest.approx(1)
    assert matthews(["a"] * 10, TRUTH) == 0.0


def test_correlations_agree_with_scipy_where_values_tie():
    rng = np.random.default_rng(0)
    a = rng.integers(6, size=50).astype(float)
    b = np.round(a + rng.normal(size=50) * 2)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    np.testing.assert_allclose(ranks(a), stats.rankdata(a))
    assert spearman([1, 2, 30], [1, 4, 9]) == pytest.approx(1)
    assert pearson([1, 2, 30], [1, 4, 9]) < 0.99


def test_constant_numbers_correlate_with_nothing():
    assert pearson([1.0, 1.0], [0.0, 2.0]) == spearman([0.0, 2.0], [3.0, 3.0]) == 0.0
    assert pearson([1.0], [1.0]) == 0.0
    with pytest.raises(ValueError):
        pearson([1, 2, 3], [1, 2])


def test_language_units():
    assert perplexity(10 * math.log(7), 10) == pytest.approx(7)
    assert perplexity(1e6, 1) == math.inf
    assert bits_per_byte(8 * math.log(2), 4) == pytest.approx(2)
