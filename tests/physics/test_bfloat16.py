"""bfloat16 activations stay close to float32, and what must be float32 is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ALL, cells

from transformer.nn.context import Run
from transformer.ops.attention import attend
from transformer.ops.norm import layer_norm, rms_norm

HALF = Run(dtype="bfloat16")


@pytest.mark.parametrize("name", cells(ALL, ("gpt2", "llama", "bert", "t5")))
def test_bfloat16_runs_close_to_float32(tiny, name):
    small = tiny(name)
    exact, rough = (small.forward(small.params, small.batch, run=r) for r in (Run(), HALF))
    assert rough["hidden"].dtype == jnp.bfloat16
    for head, _ in small.spec.heads:
        gap = np.asarray(rough[head], np.float32) - np.asarray(exact[head])
        assert 0 < np.sqrt((gap**2).mean()) < 0.03 * np.asarray(exact[head]).std()


def test_gradients_stay_float32(tiny):
    small = tiny("gpt2")
    loss = lambda params: small.model.apply(params, small.batch, run=HALF)["logits"].sum()
    types = jax.tree.leaves(jax.tree.map(lambda leaf: leaf.dtype, jax.eval_shape(
        jax.grad(loss), small.params)))
    assert set(types) == {np.dtype("float32")}


def test_scores_and_softmax_are_float32():
    """64 and 64.1 are one number in bfloat16, yet the second key must win 1.1 to 1."""
    q_BTHK = jnp.ones((1, 1, 1, 2), jnp.bfloat16)
    k_BSHK = jnp.asarray([[64.0, 0.0], [64.0, 0.1]], jnp.bfloat16)[None, :, None]
    v_BSHK = jnp.asarray([[1.0, 0.0], [0.0, 1.0]], jnp.bfloat16)[None, :, None]
    see_BTS = jnp.ones((1, 1, 2), bool)
    for heads in (1, 2):  # plain and grouped
        out = attend(jnp.tile(q_BTHK, (1, 1, heads, 1)), k_BSHK, v_BSHK, see_BTS, 1.0)
        out = np.asarray(out, np.float32)[0, 0]
        np.testing.assert_allclose(out[:, 1] / out[:, 0], np.exp(0.1), rtol=0.01)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_norms_compute_in_float32(norm):
    x = np.random.default_rng(0).standard_normal((4, 512)) + (100 if norm == "layer" else 0)
    x = jnp.asarray(x, jnp.bfloat16)
    wide = np.asarray(x, np.float64)
    wide = wide - (wide.mean(-1, keepdims=True) if norm == "layer" else 0)
    want = wide / np.sqrt((wide**2).mean(-1, keepdims=True))
    one = jnp.ones(512)
    got = layer_norm(x, one, None, 1e-6) if norm == "layer" else rms_norm(x, one, 1e-6)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=2**-8, atol=1e-6)


def test_layer_norm_does_not_cancel():
    """E[x^2] - E[x]^2 of values around 10,000 has no digit left in float32."""
    x = np.random.default_rng(0).standard_normal((4, 64)) + 10_000
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    want = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    got = layer_norm(jnp.asarray(x), jnp.ones(64), jnp.zeros(64), 1e-12)
    np.testing.assert_allclose(got, want, atol=5e-3)
