"""What holds for every objective: weights known beforehand, sums that add up, free padding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.objectives.choose import Choose
from transformer.objectives.classify import Classify
from transformer.objectives.denoising import Denoising
from transformer.objectives.extract import Extract
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams, WordSpans
from transformer.objectives.next_token import NextToken
from transformer.objectives.next_sentence import NextSentence
from transformer.objectives.prefix_lm import PrefixLM, PrefixNextToken
from transformer.objectives.regress import Regress
from transformer.objectives.replaced_token import ReplacedToken
from transformer.objectives.sentence_order import SentenceOrder
from transformer.objectives.sentence_pair import SentencePair
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.objectives.span_boundary import SpanBoundary
from transformer.objectives.span_corruption import SpanCorruption
from transformer.objectives.tag import Tag

REPORTED = ("accuracy", "exact", "detection", "next_sentence_accuracy", "sentence_order_accuracy")
T, EXAMPLES = 12, 6
LENGTHS = (12, 3, 7, 1, 9, 5)
OBJECTIVES = (
    NextToken(), MaskedLM(rate=0.3), MaskedLM(unit=WordSpans()), MaskedLM(unit=NGrams(), most=2),
    SequenceToSequence(smoothing=0.1), SpanCorruption(vocab=36), PrefixLM(), Denoising(),
    PrefixNextToken(), ReplacedToken(masked=MaskedLM(rate=0.3)),
    NextSentence(), SentenceOrder(), SpanBoundary(rate=0.5),
    Classify(), Classify(auxiliary=0.0), Regress(), Choose(), Tag(), Extract())


def padded(values, size):
    return np.pad(np.asarray(values, np.int32), (0, size - len(values)))


def row(objective, n, rng):
    """Example n, as rows are handed to `prepare`."""
    size, length = T + objective.lookahead, LENGTHS[n]
    choices = 2 if isinstance(objective, Choose) else 1
    tokens = [padded(rng.integers(10, 32, length), size) for _ in range(choices)]
    segments = padded(np.ones(length), size)
    if isinstance(objective, NextToken) and length > 6:
        segments[4:length] = 2
    example = {"tokens": tokens[0], "segments": segments, "index": np.int32(n)}
    if choices > 1:
        example = {name: np.stack([a, b]) for name, a, b in (
            ("tokens", *tokens), ("segments", segments, padded(np.ones((length + 1) // 2), size)))}
    if "source_tokens" in objective.needs:
        example |= {"source_tokens": tokens[0][::-1].copy(), "source_segments": segments[::-1]}
    if isinstance(objective, Classify):
        example |= {"labels": np.int32(n % 3), "pooled": np.int32(length - 1)}
    if isinstance(objective, Choose):
        example |= {"labels": np.int32(n % 2)}
    if isinstance(objective, Regress):
        example |= {"labels": np.float32(n / 5)}
    if isinstance(objective, SentencePair):
        example |= {objective.relation: np.int32(n % 2), "types": segments}
    if isinstance(objective, Tag):
        example |= {"labels": (tokens[0] % 3).astype(np.int32),
                    "weights": ((segments > 0) & (tokens[0] % 2 == 0)).astype(np.float32)}
    if isinstance(objective, Extract):
        example |= {"labels": np.array([length // 2, length - 1], np.int32),
                    "weights": (segments > 0).astype(np.float32)}
    return example


def make(objective, tokenizer):
    """A batch of examples of all lengths; choices are folded into rows."""
    rng = np.random.default_rng(5)
    rows = [objective.prepare(row(objective, n, rng), np.random.default_rng([1, n]), tokenizer)
            for n in range(EXAMPLES)]
    batch = {name: np.stack([r[name] for r in rows]) for name in rows[0]}
    if isinstance(objective, Choose):
        batch |= {name: batch[name].reshape(2 * EXAMPLES, -1) for name in ("tokens", "segments")}
        batch["index"] = np.arange(2 * EXAMPLES)
    return batch


def cut(batch, start, stop):
    """Examples start to stop."""
    per = {name: len(array) // EXAMPLES for name, array in batch.items()}
    return {name: array[start * per[name]:stop * per[name]] for name, array in batch.items()}


@functools.cache
def compiled(objective, apply, train):
    """(params, batch, totals, key) -> ((loss as the step forms it, terms), gradient)."""
    def loss(params, batch, totals, key):
        terms = objective.loss(apply, params, batch, key, train)
        value = sum(term.coefficient * term.sum / jnp.maximum(totals[name], 1)
                    for name, term in terms.items())
        return value, terms

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def run(objective, model, batch, whole=None, train=True, seed=0):
    """Loss, terms and gradient of a batch, which may be a slice of a whole one."""
    totals = {name: np.float32(weight)
              for name, weight in objective.weights(batch if whole is None else whole).items()}
    apply, params = model
    (value, terms), gradient = compiled(objective, apply, train)(
        params, batch, totals, jax.random.key(seed))
    return float(value), terms, gradient


@pytest.fixture(params=OBJECTIVES, ids=str)
def objective(request):
    return request.param


@pytest.fixture
def batch(objective, tokenizer):
    return make(objective, tokenizer)


@pytest.mark.parametrize("train", [True, False])
def test_weights_are_those_seen(objective, batch, model, train):
    _, terms, _ = run(objective, model, batch, train=train)
    weights = objective.weights(batch)
    assert objective.main in terms and set(terms) <= set(weights)
    assert train or set(terms) == set(weights)
    for name, term in terms.items():
        assert float(term.weight) == float(weights[name]) > 0, name
        assert (term.coefficient == 0) == (name in REPORTED)
        assert term.sum.dtype == term.weight.dtype == jnp.float32


def test_slices_add_up_to_the_batch(objective, batch, model):
    parts = [cut(batch, n, n + 2) for n in range(0, EXAMPLES, 2)]
    value, _, gradient = run(objective, model, batch)
    values, _, gradients = zip(*(run(objective, model, part, batch) for part in parts))
    np.testing.assert_allclose(sum(values), value, rtol=1e-6)
    added = jax.tree.map(lambda *leaves: sum(leaves), *gradients)
    for a, b in zip(jax.tree.leaves(added), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * max(1, np.abs(b).max()))
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient)) > 1e-3


def test_weights_of_slices_on_a_leading_axis(objective, batch):
    sliced = {name: array.reshape((2, len(array) // 2) + array.shape[1:])
              for name, array in batch.items()}
    traced = jax.jit(objective.weights)(sliced)
    for name, weight in objective.weights(batch).items():
        assert objective.weights(sliced)[name] == weight == traced[name]


def test_padding_rows_weigh_nothing(objective, batch, model):
    empty = {name: np.zeros_like(array) for name, array in batch.items()}
    value, _, gradient = run(objective, model, empty)
    assert value == 0 and set(objective.weights(empty).values()) == {0}
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))
    part, rest = cut(batch, 0, 2), cut(empty, 2, EXAMPLES)
    padded = {name: np.concatenate([part[name], rest[name]]) for name in batch}
    assert objective.weights(padded) == objective.weights(part)
    np.testing.assert_allclose(run(objective, model, padded)[0], run(objective, model, part)[0],
                               rtol=1e-6)


def test_units_count_tokens_and_predictions(objective, batch):
    data, predictions = objective.units(batch)
    seen = (batch["segments"] > 0).sum()
    if "source_segments" in batch:
        seen += (batch["source_segments"] > 0).sum()
    assert (data, predictions) == (seen, objective.weights(batch)[objective.main])


def test_randomness_reaches_the_model_in_training_only(objective, batch, model):
    for train in (True, False):
        values = {run(objective, model, batch, train=train, seed=seed)[0] for seed in (1, 2)}
        draws = isinstance(objective, ReplacedToken)  # in evaluation too
        assert len(values) == (2 if train or draws else 1)


def test_preparing_is_a_function_of_the_generator(objective, tokenizer):
    example = row(objective, 0, np.random.default_rng(3))
    before = {name: array.copy() for name, array in example.items()}
    one, same, other = (objective.prepare(example, np.random.default_rng(seed), tokenizer)
                        for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert one[name].shape == other[name].shape and one[name].dtype == other[name].dtype
    for name, array in before.items():
        np.testing.assert_array_equal(example[name], array)


def test_a_missing_head_is_named(objective, batch):
    with pytest.raises(UserError, match=r"reads the head '\w+', but the model has \['other'\]"):
        objective.loss(lambda *_, **__: {"other": 0, "hidden": 0}, {}, batch, None, True)
