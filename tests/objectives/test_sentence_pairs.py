"""Next sentence and sentence order: which head reads which label, and how the losses add up."""

import numpy as np
import pytest
from scipy.special import log_softmax

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams, SingleTokens
from transformer.objectives.next_sentence import NextSentence
from transformer.objectives.sentence_order import SentenceOrder
from transformer.training.step import combine

RNG = np.random.default_rng(0)
PAIR, OTHER = RNG.normal(size=(3, 2)).astype(np.float32), np.zeros((3, 2), np.float32)
MLM = RNG.normal(size=(3, 2, 32)).astype(np.float32)
BATCH = {
    "tokens": np.full((3, 6), 12), "segments": np.array([[1] * 6, [1] * 6, [0] * 6]),
    "targets": np.array([[11, 12], [13, 0], [0, 0]]),
    "weights": np.array([[1, 1], [1, 0], [0, 0]], np.float32), "labels": np.array([1, 0, 0])}


@pytest.mark.parametrize("objective, heads, name", [
    (NextSentence(), {"nsp": PAIR, "sop": OTHER}, "next_sentence"),
    (SentenceOrder(), {"nsp": OTHER, "sop": PAIR}, "sentence_order")], ids=["nsp", "sop"])
def test_both_losses_are_means_that_count_once(objective, heads, name):
    found = objective.loss(lambda *_: {"mlm": MLM, **heads}, {}, BATCH, None, True)
    pair = -(log_softmax(PAIR, -1)[0, 1] + log_softmax(PAIR, -1)[1, 0])
    logp = log_softmax(MLM, -1)
    masked = -(logp[0, 0, 11] + logp[0, 1, 12] + logp[1, 0, 13])
    np.testing.assert_allclose(found[name].sum, pair, rtol=1e-6)
    assert found[name][1:] == (2, 1) and found["masked"][1:] == (3, 1)  # row 3 is padding
    assert found[f"{name}_accuracy"].sum == (PAIR.argmax(1)[:2] == [1, 0]).sum()
    total = combine(found, objective.weights(BATCH))
    np.testing.assert_allclose(total, pair / 2 + masked / 3, rtol=1e-6)


@pytest.mark.parametrize("objective", [NextSentence(), SentenceOrder()], ids=["nsp", "sop"])
def test_the_relation_of_the_rows_becomes_the_label(objective, tokenizer):
    tokens = np.array([5, 10, 11, 6, 12, 14, 6, 0], np.int32)
    example = {"tokens": tokens, "segments": (tokens > 0).astype(np.int32),
               "types": np.array([0, 0, 0, 0, 1, 1, 1, 0], np.int32),
               objective.relation: np.int32(1)}
    row = objective.prepare(example, np.random.default_rng(0), tokenizer)
    assert row["labels"] == 1 and objective.relation not in row and objective.relation in example
    assert row["types"].tolist() == example["types"].tolist()
    assert row["tokens"][[0, 3, 6, 7]].tolist() == [5, 6, 6, 0]  # special pieces are never masked


def test_albert_masks_ngrams_and_bert_single_tokens():
    assert NextSentence().masked == MaskedLM(unit=SingleTokens())
    assert SentenceOrder().masked == MaskedLM(unit=NGrams(longest=3))
