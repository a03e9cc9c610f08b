"""Adafactor on stacked layers equals optax's on each layer alone, and T5's rule in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transformer.training import paths
from transformer.training.optimizer import Adafactor
from transformer.training.schedule import Constant

RATE = 1e-2


@functools.partial(jax.jit, static_argnums=0)
def run(optimizer, params, gradients):
    state = optimizer.init(params)
    for g in gradients:
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (4, 3, 5), (6,), (2, 9)])
def test_each_layer_of_a_stack_is_its_own_parameter(shape):
    keys = jax.random.split(jax.random.key(0), 6)
    sizes = jnp.array([1.0, 1e-5, 3.0]).reshape(-1, *[1] * len(shape))  # one below the least scale
    stack = jax.random.normal(keys[0], (3, *shape)) * sizes
    gradients = [jax.random.normal(k, (3, *shape)) * sizes[::-1] for k in keys[1:4]]
    put = lambda x: {"stack": {"segment_0": {"up": x}}}
    ours = Adafactor(learning_rate=Constant(peak=RATE), smallest=3).build()
    got, _ = run(ours, put(stack), [put(g) for g in gradients])
    theirs = optax.adafactor(RATE, min_dim_size_to_factor=3)
    expected = jax.vmap(lambda layer, g: run(theirs, layer, g)[0])(stack, gradients)
    np.testing.assert_allclose(got["stack"]["segment_0"]["up"], expected, rtol=2e-5, atol=1e-9)


def test_first_steps_by_hand():
    rng = np.random.default_rng(0)
    p, path = rng.normal(size=(4, 5)), "embedding/tokens"
    params = paths.nested({path: jnp.float32(p)})
    gradients = rng.normal(size=(3, 4, 5))
    rows, columns = np.zeros(4), np.zeros(5)
    for step, g in enumerate(gradients):
        d = 1 - (step + 1) ** -0.8
        rows = d * rows + (1 - d) * (g * g).mean(1)
        columns = d * columns + (1 - d) * (g * g).mean(0)
        x = g / np.sqrt(np.outer(rows, columns) / rows.mean())
        x /= max(1, np.sqrt((x * x).mean()))
        p = p - RATE * max(np.sqrt((p * p).mean()), 1e-3) * x
    built = Adafactor(learning_rate=Constant(peak=RATE), smallest=4).build()
    got, state = run(built, params, [paths.nested({path: jnp.float32(g)}) for g in gradients])
    np.testing.assert_allclose(paths.named(got)[path], p, rtol=1e-5)
    assert {n: x.shape for n, x in paths.named(state["rule"]["moments"]).items()} == {
        path + "/rows": (4,), path + "/columns": (5,)}


@pytest.mark.parametrize("name, shape, matrix", [
    ("query", (2, 6, 3, 4), (2, 6, 12)), ("value", (2, 6, 1, 4), (2, 6, 4)),
    ("out", (2, 3, 4, 6), (2, 12, 6))])
def test_heads_and_their_size_are_one_dimension(name, shape, matrix):
    """As in T5, whose projections are matrices."""
    keys = jax.random.split(jax.random.key(0), 3)
    leaves = [jax.random.normal(key, shape) for key in keys]
    built = Adafactor(learning_rate=Constant(peak=RATE), smallest=3).build()
    put = lambda path, x: {"stack": {"segment_0": {"0_attention": {path: x}}}}
    apart, state = run(built, put(name, leaves[0]), [put(name, x) for x in leaves[1:]])
    whole, _ = run(built, put("up", leaves[0].reshape(matrix)),
                   [put("up", x.reshape(matrix)) for x in leaves[1:]])
    (apart,), (whole,) = jax.tree.leaves(apart), jax.tree.leaves(whole)
    np.testing.assert_allclose(apart, whole.reshape(shape), rtol=1e-6)
    moments = paths.named(state["rule"]["moments"])
    assert sum(x.size for x in moments.values()) == 2 * sum(matrix[1:])


def test_small_matrices_are_not_factored():
    shapes = {"embedding/tokens": (127, 200), "heads_a/up": (128, 128)}
    params = paths.nested({path: jnp.ones(shape) for path, shape in shapes.items()})
    state = Adafactor(learning_rate=Constant(peak=RATE)).build().init(params)
    assert {n: x.shape for n, x in paths.named(state["rule"]["moments"]).items()} == {
        "embedding/tokens/whole": (127, 200), "heads_a/up/rows": (128,),
        "heads_a/up/columns": (128,)}
