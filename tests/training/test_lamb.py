"""LAMB as ALBERT has it: each layer of a stack has a trust ratio of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transformer.spec import from_json, to_json
from transformer.training import paths
from transformer.training.lamb import LAMB
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant

UP, BIAS = "stack/segment_0/0_feedforward/up", "stack/segment_0/0_feedforward/up_bias"
SHARED, SCALE = "stack/shared_1/0_attention/query", "stack/shared_1/0_attention_norm/scale"
SHAPES = {UP: (3, 4, 6), BIAS: (3, 6), SHARED: (3, 4, 2), SCALE: (4,), "embedding/tokens": (7, 4)}
SIZES = {UP: np.array([1.0, 0.0, 30.0]).reshape(3, 1, 1)}  # the second layer begins at zero


def tree(seed):
    rng = np.random.default_rng(seed)
    return {p: rng.normal(size=s) * (SIZES.get(p, 1.0) if seed == 0 else 1.0)
            for p, s in SHAPES.items()}


def moved(optimizer, steps=4, gradients=tree):
    """Parameters after the updates with the gradients of seeds 1, 2, ..."""
    built = optimizer.build()
    put = lambda values: paths.nested({p: jnp.float32(v) for p, v in values.items()})
    params = put(tree(0))
    state, update = built.init(params), jax.jit(built.update)
    for t in range(1, steps + 1):
        updates, state = update(put(gradients(t)), state, params)
        params = optax.apply_updates(params, updates)
    return paths.named(params)


def layers(path, x):
    """Views of what has a trust ratio each."""
    return list(x) if path == UP else [x]


def test_updates_by_hand():
    params = tree(0)
    memory = {p: (np.zeros(s), np.zeros(s)) for p, s in SHAPES.items()}
    for t in range(1, 5):
        gradients = tree(t)
        norm = np.sqrt(sum((g ** 2).sum() for g in gradients.values()))
        for path, g in gradients.items():
            m, v = memory[path]
            m[...] = 0.9 * m + 0.1 * g / norm
            v[...] = 0.999 * v + 0.001 * (g / norm) ** 2
            step = m / (np.sqrt(v) + 1e-6)
            if path in (BIAS, SCALE):
                params[path] -= 1e-2 * step
                continue
            step += 0.01 * params[path]
            for p, u in zip(layers(path, params[path]), layers(path, step), strict=True):
                size = np.sqrt((p ** 2).sum())
                p -= 1e-2 * u * (size / np.sqrt((u ** 2).sum()) if size > 0 else 1)
    for path, got in moved(LAMB(learning_rate=Constant(peak=1e-2))).items():
        np.testing.assert_allclose(got, params[path], rtol=2e-5, atol=2e-6, err_msg=path)


def test_a_step_is_as_long_as_the_rate_times_the_layer():
    """|p' - p| = rate * |p| for each layer, and 3.16 * rate per entry where no norm counts."""
    optimizer = LAMB(learning_rate=Constant(peak=1e-2), decay=0.0, eps=1e-12)
    after, start = moved(optimizer, 1), tree(0)
    for path in (UP, SHARED, "embedding/tokens"):
        for p, q in zip(layers(path, start[path]), layers(path, np.asarray(after[path]))):
            if np.any(p):
                assert np.linalg.norm(q - p) == pytest.approx(1e-2 * np.linalg.norm(p), rel=1e-4)
    np.testing.assert_allclose(np.abs(after[UP][1]), 1e-2 * 0.1 / np.sqrt(0.001), rtol=1e-4)


def test_without_gradients_and_decay_nothing_moves():
    """|u| = 0: the ratio is 1 and not infinite."""
    still = moved(LAMB(learning_rate=Constant(peak=1.0), decay=0.0), 2,
                  lambda seed: {p: np.zeros(s) for p, s in SHAPES.items()})
    for path, start in tree(0).items():
        np.testing.assert_array_equal(still[path], np.float32(start))


def test_excluded_paths_step_as_in_berts_adam():
    rates = dict(learning_rate=Constant(peak=1e-2), no_decay=("",), eps=1e-6)
    plain = moved(AdamW(**rates, decay=0.01, correct_bias=False))
    for path, got in moved(LAMB(**rates)).items():
        np.testing.assert_array_equal(got, plain[path])


def test_lamb_round_trips_as_json():
    optimizer = LAMB(learning_rate=Constant(peak=0.00176))
    assert from_json(to_json(optimizer)) == optimizer
