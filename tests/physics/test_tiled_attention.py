"""Attention in tiles gives what whole attention gives, however it is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.ops import tiles
from transformer.ops.attention import attend
from transformer.ops.dropout import example_keys
from transformer.ops.reach import Causal, Everywhere, Window

B, T, K = 4, 11, 6


def drawn(heads, groups, keys, packed):
    draw = np.random.default_rng(heads + groups)
    array = lambda *shape: jnp.asarray(draw.standard_normal(shape), jnp.float32)
    segments = np.array([[1] * 4 + [2] * 5 + [0] * 2] * B) if packed else np.ones((B, T), int)
    see = segments[:, :, None] == (segments[:, None] if keys == T else np.ones((B, 1, keys), int))
    return (array(B, T, heads, K), array(B, keys, groups, K), array(B, keys, groups, K)), see


@pytest.mark.parametrize("heads,groups,keys,reach,packed,rate,scores", [
    (4, 4, T, Causal(), True, 0.3, 1),  # one row at a time
    (4, 2, T, Causal(), False, 0.0, 2**17),  # all rows at once
    (6, 1, T, Everywhere(), True, 0.3, 2 * 6 * T * 4),  # two rows at a time
    (4, 2, 7, None, True, 0.0, 1),  # another source than target
    (4, 1, T, Causal() & Window(width=2), True, 0.3, 1),
])
def test_tiles_change_no_value_and_no_gradient(monkeypatch, heads, groups, keys, reach, packed,
                                               rate, scores):
    monkeypatch.setattr(tiles, "SCORES", scores)
    monkeypatch.setattr(tiles, "QUERIES", 4)  # three tiles a row, the last one shorter
    arrays, see = drawn(heads, groups, keys, packed)
    if reach is not None:
        see = see & np.asarray(reach(np.arange(T)[None, :, None], np.arange(T)[None, None], False))
    keys_B = example_keys(jax.random.key(0), jnp.arange(B))
    probe = jnp.cos(jnp.arange(B * T * heads * K, dtype=jnp.float32)).reshape(B, T, heads, K)
    # nothing reads a query that sees no key (padding), so no gradient comes back to it
    probe = probe * see.any(-1)[:, :, None, None]

    def run(function, *more):
        apply = lambda q, k, v: function(q, k, v, jnp.asarray(see), 0.7, keys_B, rate, *more)

        @jax.jit
        def both(*arrays):
            value, pull = jax.vjp(apply, *arrays)
            return value, *pull(probe)

        return both(*arrays)

    for whole, tiled in zip(run(attend), run(tiles.attend_in_tiles, reach), strict=True):
        np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_tiles_of_the_future_are_never_made():
    """Causal attention over eight tiles makes little more than half of the scores; banded
    attention those of the band."""
    shape = jax.ShapeDtypeStruct((1, 512, 1, 8), jnp.float32)
    see = jax.ShapeDtypeStruct((1, 512, 512), bool)

    def work(reach):
        apply = lambda q, k, v, see: tiles.attend_in_tiles(q, k, v, see, 1.0, reach=reach)
        return jax.jit(apply).lower(shape, shape, shape, see).compile().cost_analysis()["flops"]

    whole = work(Everywhere())
    assert work(Causal()) < 0.65 * whole
    assert work(Causal() & Window(width=32)) < 0.25 * whole
