"""Dropout follows the example, not its place: slices, meshes and orders draw the same masks."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ALL, cells

from transformer.nn.head import Classes, TokenClasses
from transformer.nn.model import EncoderDecoder, Pair
from transformer.nn.recurrent import RecurrentEncoderDecoder
from transformer.ops import attention, dropout as ops
from transformer.spec import from_json, to_json

KEY = jax.random.key(5)
PARTS = cells(ALL, ("gpt1", "electra", "rnn", "t5"))
SHARING = cells(ALL, ("albert", "electra", "rnn", "t5"))


def at_rate(spec, rate: float):
    """The value with every dropout of the tree at this rate."""
    def change(tree):
        if isinstance(tree, list):
            return [change(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        return {k: rate if k.endswith("dropout") else change(v) for k, v in tree.items()}

    return from_json(change(to_json(spec)))


@pytest.fixture(scope="module")
def noisy(tiny, build):
    """noisy(family) -> a Tiny that drops half of everything."""
    made = {}

    def noisy(name):
        if name not in made:
            made[name] = build(at_rate(tiny(name).spec, 0.5), tiny(name).head)
        return made[name]

    return noisy


def take(batch, rows):
    return {name: leaf[np.asarray(rows)] for name, leaf in batch.items()}


def outputs(small, batch, key=KEY):
    found = small.forward(small.params, batch, key)
    return {name: np.asarray(found[name]) for name in found if name in dict(small.spec.heads)}


@pytest.mark.parametrize("name", PARTS)
def test_masks_follow_the_index_through_any_order(noisy, name):
    small, order = noisy(name), [2, 0, 3, 1]
    before, after = outputs(small, small.batch), outputs(small, take(small.batch, order))
    for head, value in before.items():
        np.testing.assert_allclose(after[head], value[order], atol=1e-5)


def test_a_slice_draws_what_the_whole_batch_drew(noisy):
    small = noisy("gpt1")
    whole = outputs(small, small.batch)["logits"]
    for rows in ([0, 1], [2, 3]):
        part = outputs(small, take(small.batch, rows))["logits"]
        np.testing.assert_allclose(part, whole[rows], atol=1e-5)


@pytest.mark.parametrize("name", PARTS)
def test_rows_draw_different_masks(noisy, name):
    small = noisy(name)
    twins = {k: v if k == "index" else v[np.zeros(4, int)] for k, v in small.batch.items()}
    for value in outputs(small, twins).values():
        for a in range(4):
            for b in range(a):
                assert np.abs(value[a] - value[b]).max() > 0.01
    same = {**twins, "index": jnp.full(4, 9)}
    for value in outputs(small, same).values():
        np.testing.assert_allclose(value, value[:1].repeat(4, 0), atol=1e-5)


def test_another_step_draws_different_masks(noisy):
    small = noisy("gpt1")
    here, there = (outputs(small, small.batch, jax.random.key(n))["logits"] for n in (1, 2))
    assert (np.abs(here - there).max((1, 2)) > 0.01).all()


def sites(spec) -> int:
    """How many masks a row draws: at each embedding and the end of each stack, two in each sublayer
    of each layer (probabilities or hidden width, and output), one before each classifier."""
    if isinstance(spec, Pair):
        return sites(spec.generator) + sites(spec.discriminator)
    if isinstance(spec, RecurrentEncoderDecoder):
        return 2 + 2 * spec.depth  # each layer of both sides has one
    stacks = [spec.encoder, spec.decoder] if isinstance(spec, EncoderDecoder) else [spec.stack]
    layers = sum(s.repeats * len(b.sublayers) for stack in stacks for s in stack.segments
                 for b in s.pattern)
    classifiers = [head for _, head in spec.heads if isinstance(head, (Classes, TokenClasses))]
    return 2 * len(stacks) + 2 * layers + len(classifiers)


@pytest.mark.parametrize("name", SHARING)
def test_every_layer_and_sublayer_has_its_own_keys(noisy, monkeypatch, name):
    seen = []

    def spy(x, keys_B, rate):
        if keys_B is not None and rate > 0:
            jax.debug.callback(lambda k: seen.extend(map(tuple, np.asarray(k).tolist())),
                               jax.random.key_data(keys_B))
        return x

    real = ops.dropout
    for module in [m for n, m in sys.modules.items() if n.startswith("transformer.")]:
        if getattr(module, "dropout", None) is real:
            monkeypatch.setattr(module, "dropout", spy)
    small = noisy(name)
    run = jax.jit(lambda params, batch: small.model.apply(params, batch, KEY))
    jax.block_until_ready(run(small.params, small.batch))
    jax.effects_barrier()
    rows = len(small.batch["index"])
    assert len(seen) == sites(small.spec) * rows
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("name", PARTS)
def test_evaluation_drops_nothing(tiny, noisy, name):
    """No key: the value with dropout is the value without; rate 0: the key has no effect."""
    loud, quiet = noisy(name), tiny(name)
    expected = outputs(quiet, quiet.batch, None)
    for head, value in outputs(loud, quiet.batch, None).items():
        np.testing.assert_array_equal(value, expected[head])


def test_a_key_without_dropout_does_nothing(tiny):
    small = tiny("llama")  # it has none
    assert not re.search("dropout': 0.[1-9]", str(to_json(small.spec)))
    for head, value in outputs(small, small.batch).items():
        np.testing.assert_array_equal(value, outputs(small, small.batch, None)[head])


def test_dropout_keeps_the_mean():
    x = jnp.full((8, 100, 50), 3.0)
    keys_B = ops.example_keys(KEY, jnp.arange(8))
    for rate in (0.1, 0.5):
        y = np.asarray(ops.dropout(x, keys_B, rate))
        np.testing.assert_allclose(np.unique(y), [0, 3 / (1 - rate)], rtol=1e-6)
        spread = np.sqrt(rate * (1 - rate) / y.size)
        assert abs((y == 0).mean() - rate) < 4 * spread
        assert abs(y.mean() / 3 - 1) < 4 * spread / (1 - rate)


def test_probability_dropout_falls_on_probabilities():
    """Each query loses whole keys: what is left is a scaled sum of the other values."""
    T = 64
    q_BTHK = k_BSHK = jnp.zeros((1, T, 1, 4))
    v_BSHK = jnp.eye(T)[None, :, None]
    keys_B = ops.example_keys(KEY, jnp.arange(1))
    see_BTS = jnp.ones((1, T, T), bool)
    out = np.asarray(attention.attend(q_BTHK, k_BSHK, v_BSHK, see_BTS, 1.0, keys_B, 0.25))[0, :, 0]
    np.testing.assert_allclose(np.unique(out), [0, 1 / T / 0.75], rtol=1e-5)
    assert abs((out == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / out.size)
    assert not (out == out[:1]).all()
