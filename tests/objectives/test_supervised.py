"""Supervised objectives against formulas written out, and the labels they refuse."""

import numpy as np
import pytest
from scipy.special import log_softmax

from transformer.error import UserError
from transformer.objectives.choose import Choose
from transformer.objectives.classify import Classify
from transformer.objectives.extract import Extract
from transformer.objectives.regress import Regress
from transformer.objectives.tag import Tag

TOKENS = np.array([[11, 12, 13, 14], [15, 16, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.int32)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 4, 32)).astype(np.float32)


def terms(objective, heads, **batch):
    """Of the evaluation loss, given the model's outputs."""
    batch = {"tokens": TOKENS, "segments": SEGMENTS, **batch}
    return objective.loss(lambda *_: {"logits": LOGITS, **heads}, {}, batch, None, False)


def test_the_auxiliary_loss_is_a_sum_of_sequence_means():
    classes = RNG.normal(size=(2, 3)).astype(np.float32)
    found = terms(Classify(auxiliary=0.5), {"classes": classes}, labels=np.array([2, 0]))
    logp = log_softmax(LOGITS, -1)
    first = -(logp[0, 0, 12] + logp[0, 1, 13] + logp[0, 2, 14]) / 3
    np.testing.assert_allclose(found["language"].sum, first - logp[1, 0, 16], rtol=1e-6)
    assert found["language"][1:] == (2, 0.5)
    expected = -log_softmax(classes, -1)[[0, 1], [2, 0]].sum()
    np.testing.assert_allclose(found["classes"].sum, expected, rtol=1e-6)
    assert found["classes"][1:] == (2, 1) and found["accuracy"].coefficient == 0
    assert found["accuracy"].sum == (classes.argmax(1) == [2, 0]).sum()


def test_sequences_end_with_their_document_and_need_two_tokens():
    segments = np.array([[1, 1, 2, 2], [1, 0, 0, 0]])
    objective = Classify(auxiliary=0.5)
    heads = {"classes": np.zeros((2, 3), np.float32)}
    found = terms(objective, heads, labels=np.array([2, 0]), segments=segments)
    logp = log_softmax(LOGITS, -1)
    np.testing.assert_allclose(found["language"].sum, -(logp[0, 0, 12] + logp[0, 2, 14]) / 2,
                               rtol=1e-6)
    assert found["language"].weight == 1


def test_without_the_auxiliary_loss_no_language_head_is_needed():
    objective, batch = Classify(auxiliary=0.0), {"tokens": TOKENS, "segments": SEGMENTS,
                                                 "labels": np.array([2, 0])}
    heads = {"classes": np.zeros((2, 3), np.float32)}
    found = objective.loss(lambda *_: heads, {}, batch, None, True)
    assert set(found) == {"classes", "accuracy"} == set(objective.weights(batch))
    with pytest.raises(UserError, match="head 'logits'.*has \\['classes'\\].*auxiliary=0.0"):
        Classify().loss(lambda *_: heads, {}, batch, None, True)


def test_choices_are_rows_that_share_a_softmax():
    score = np.array([[1.5], [-0.5]], np.float32)
    found = terms(Choose(), {"score": score}, labels=np.array([1]))
    np.testing.assert_allclose(found["choice"].sum, 2 + np.log1p(np.exp(-2)), rtol=1e-6)
    assert found["choice"].weight == 1 and found["accuracy"].sum == 0
    assert found["language"].weight == 2  # the wrong choice is a sequence too


@pytest.mark.parametrize("labels, error", [([0.5], (1.0 - 0.5) ** 2),
                                           ([0.5, 1.0], (1.5 - 0.5) ** 2 + (-0.5 - 1.0) ** 2)])
def test_scores_of_both_orders_are_added(labels, error):
    score = np.array([[1.5], [-0.5]], np.float32)
    found = terms(Regress(), {"score": score}, labels=np.array(labels, np.float32))
    np.testing.assert_allclose(found["score"].sum, error)
    assert found["score"].weight == len(labels)


def test_tags_are_scored_where_a_word_is_read():
    logits = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    weights = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], np.float32)
    labels = np.array([[2, 0, 1, 0], [0, 1, 0, 0]])
    found = terms(Tag(), {"tags": logits}, labels=labels, weights=weights)
    logp = log_softmax(logits, -1)
    np.testing.assert_allclose(found["tags"].sum,
                               -(logp[0, 0, 2] + logp[0, 2, 1] + logp[1, 1, 1]), rtol=1e-6)
    assert found["tags"].weight == 3


def test_answers_compete_inside_the_passage_only():
    logits = RNG.normal(size=(2, 4, 2)).astype(np.float32)
    logits[0, 0] = 50  # outside: must not matter
    allowed = np.array([[0, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    found = terms(Extract(), {"span": logits}, labels=np.array([[1, 3], [0, 1]]), weights=allowed)
    expected = -sum(log_softmax(side)[n] for side, n in (
        (logits[0, 1:, 0], 0), (logits[0, 1:, 1], 2), (logits[1, :2, 0], 0), (logits[1, :2, 1], 1)))
    np.testing.assert_allclose(found["span"].sum, expected, rtol=1e-5)
    assert found["span"].weight == 4 and found["exact"].weight == 2


def test_exact_needs_both_ends():
    logits = np.zeros((2, 4, 2), np.float32)
    logits[0, 1, 0] = logits[0, 3, 1] = logits[1, 0, 0] = logits[1, 0, 1] = 9
    found = terms(Extract(), {"span": logits}, labels=np.array([[1, 3], [0, 1]]),
                  weights=np.ones((2, 4), np.float32))
    assert found["exact"].sum == 1


@pytest.mark.parametrize("objective", [Classify(), Choose(), Tag(), Extract()], ids=str)
@pytest.mark.parametrize("label", [-1, -100])
def test_negative_labels_are_refused(objective, label):
    example = {"tokens": TOKENS[0], "segments": SEGMENTS[0], "weights": np.ones(4, np.float32),
               "labels": np.array([1, label])}
    with pytest.raises(UserError, match=f"label {label} is negative"):
        objective.prepare(example, None, None)


@pytest.mark.parametrize("labels", [[0, 2], [2, 4]])
def test_answers_outside_the_passage_are_refused(labels):
    example = {"labels": np.array(labels), "weights": np.array([0, 1, 1, 1], np.float32)}
    with pytest.raises(UserError, match="outside the passage"):
        Extract().prepare(example, None, None)


def test_a_negative_auxiliary_weight_is_refused():
    with pytest.raises(UserError, match="auxiliary is -1"):
        Regress(auxiliary=-1.0)
