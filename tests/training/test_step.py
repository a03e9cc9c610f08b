"""The pure step: slices add up, bad updates leave no trace, the average follows."""

import functools

import jax
import numpy as np
import optax
import pytest

from transformer.nn.door import Model
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.training.step import start, train_step
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2


def ragged_batch(rows: int, length: int, seed: int = 0) -> dict:
    """Rows of very unequal numbers of targets: where a mean of means would be wrong."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 60, (rows, length + 1)).astype(np.int32)
    segments = (np.arange(length + 1) < rng.integers(2, length + 2, (rows, 1))).astype(np.int32)
    segments[0] = 1
    weights = ((segments[:, 1:] > 0) & (segments[:, :-1] > 0)).astype(np.float32)
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights,
            "segments": segments[:, :-1], "index": np.arange(rows, dtype=np.int32)}


def sliced(batch: dict, slices: int) -> dict:
    return {n: a.reshape(slices, len(a) // slices, *a.shape[1:]) for n, a in batch.items()}


@functools.cache
def gpt(dropout: float = 0.0):
    model = Model(gpt2(width=16, depth=2, heads=2, vocab=64, length=16, dropout=dropout))
    return model, model.init(jax.random.key(0))


def stepper(model, optimizer, objective=NextToken(), **more):
    return jax.jit(functools.partial(train_step, apply=model.apply, objective=objective,
                                     optimizer=optimizer, **more))


def poisoned(weights, value):
    weights = weights.copy()
    weights[0, 0, 0] = value
    return weights


def same(a, b) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


@pytest.mark.parametrize(("slices", "dropout"), [
    (2, 0.0), (8, 0.2), *(pytest.param(*cell, marks=pytest.mark.full)
                          for cell in ((4, 0.0), (8, 0.0), (2, 0.2), (4, 0.2)))])
def test_slices_give_the_update_of_the_whole_batch(slices, dropout):
    model, params = gpt(dropout)
    optimizer, batch = optax.sgd(1.0), ragged_batch(8, 16)
    step = stepper(model, optimizer)
    whole, told = step(start(params, optimizer, 0), sliced(batch, 1))
    cut, also = step(start(params, optimizer, 0), sliced(batch, slices))
    np.testing.assert_allclose(told["loss"], also["loss"], rtol=1e-6)
    for a, b in zip(jax.tree.leaves(whole["params"]), jax.tree.leaves(cut["params"])):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_loss_is_the_mean_over_all_predictions():
    model, params = gpt()
    optimizer, batch = optax.sgd(0.0), ragged_batch(8, 16)
    _, told = stepper(model, optimizer)(start(params, optimizer, 0), sliced(batch, 4))
    logits = jax.nn.log_softmax(model.apply(params, batch)["logits"])
    own = np.take_along_axis(np.asarray(logits), batch["targets"][..., None], -1)[..., 0]
    mean = -(own * batch["weights"]).sum() / batch["weights"].sum()
    np.testing.assert_allclose(told["loss"], mean, rtol=1e-6)


def test_a_row_that_is_padding_changes_nothing():
    model, params = gpt()
    optimizer, batch = optax.sgd(1.0), ragged_batch(4, 16)
    longer = {n: np.concatenate([a, np.zeros_like(a)]) for n, a in batch.items()}
    step = stepper(model, optimizer)
    a, _ = step(start(params, optimizer, 0), sliced(batch, 1))
    b, _ = step(start(params, optimizer, 0), sliced(longer, 1))
    for x, y in zip(jax.tree.leaves(a["params"]), jax.tree.leaves(b["params"])):
        np.testing.assert_allclose(x, y, atol=1e-7)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_an_update_that_is_not_finite_leaves_every_bit_alone_and_is_counted(poison):
    model, params = gpt()
    optimizer = optax.adamw(1e-2)
    step, batch = stepper(model, optimizer, average=0.9), sliced(ragged_batch(4, 16), 1)
    before, _ = step(start(params, optimizer, 0, average=0.9), batch)
    bad = {**batch, "weights": poisoned(batch["weights"], poison)}
    after, told = step(before, bad)
    assert same((before["params"], before["opt"], before["ema"]),
                (after["params"], after["opt"], after["ema"]))
    assert not np.isfinite(told["loss"])
    assert (int(after["skipped"]), int(after["in_a_row"]), int(after["step"])) == (1, 1, 2)
    again, _ = step(after, batch)
    assert (int(again["skipped"]), int(again["in_a_row"])) == (1, 0)
    assert not same(again["params"], after["params"])


def test_a_batch_without_any_target_gives_loss_zero_and_no_movement():
    model = Model(bert("nano", outputs=(MASKED,), pooler=False, dropout=0.0))
    params, optimizer = model.init(jax.random.key(0)), optax.sgd(1.0)
    batch = {"tokens": np.ones((2, 8), np.int32), "segments": np.ones((2, 8), np.int32),
             "masked": np.zeros((2, 2), np.int32), "targets": np.zeros((2, 2), np.int32),
             "weights": np.zeros((2, 2), np.float32), "index": np.arange(2, dtype=np.int32)}
    after, told = stepper(model, optimizer, MaskedLM())(start(params, optimizer, 0),
                                                        sliced(batch, 1))
    assert float(told["loss"]) == 0.0
    assert same(after["params"], params)


def test_the_average_is_the_recurrence():
    model, params = gpt()
    optimizer, batch = optax.sgd(0.1), sliced(ragged_batch(4, 16), 1)
    step, state = stepper(model, optimizer, average=0.75), start(params, optax.sgd(0.1), 0, 0.75)
    expected = params
    for made in range(30):
        state, _ = step(state, batch)
        decay = min(0.75, (1 + made) / (10 + made))
        expected = jax.tree.map(lambda e, p: decay * e + (1 - decay) * p, expected, state["params"])
    for a, b in zip(jax.tree.leaves(state["ema"]), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dropout_differs_between_steps_but_not_between_runs():
    model, params = gpt(0.3)
    optimizer, batch = optax.sgd(0.0), sliced(ragged_batch(4, 16), 1)
    step = stepper(model, optimizer)
    first, one = step(start(params, optimizer, 5), batch)
    _, two = step(first, batch)
    _, again = step(start(params, optimizer, 5), batch)
    _, other = step(start(params, optimizer, 6), batch)
    assert float(one["loss"]) == float(again["loss"])
    assert float(one["loss"]) != float(two["loss"])
    assert float(one["loss"]) != float(other["loss"])
