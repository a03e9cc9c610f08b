"""Grouped-query attention is attention whose key-value heads repeat (Ainslie 2023 §2.2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.ops.attention import attend
from transformer.zoo.llama import llama


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_grouped_attention_is_repeated_attention(groups):
    draw = np.random.default_rng(0)
    shape = lambda *sizes: jnp.asarray(draw.standard_normal((2, *sizes, 8)), jnp.float32)
    q_BTHK, k_BSGK, v_BSGK = shape(5, 6), shape(7, groups), shape(7, groups)
    see_BTS = jnp.asarray(draw.random((2, 5, 7)) < 0.6)
    got = attend(q_BTHK, k_BSGK, v_BSGK, see_BTS, 0.3)
    k, v = (jnp.repeat(x, 6 // groups, 2) for x in (k_BSGK, v_BSGK))
    np.testing.assert_allclose(got, attend(q_BTHK, k, v, see_BTS, 0.3), atol=1e-6)
    score = 0.3 * np.einsum("bthk,bshk->bhts", q_BTHK, k)
    weight = np.exp(score) * np.asarray(see_BTS)[:, None]
    weight /= np.maximum(weight.sum(-1, keepdims=True), 1e-30)
    want = np.einsum("bhts,bshk->bthk", weight, v)
    sees = np.asarray(see_BTS).any(-1)
    np.testing.assert_allclose(np.asarray(got)[sees], want[sees], atol=1e-5)


def test_grouped_model_is_the_model_with_repeated_heads(tiny, build):
    small = tiny("llama")  # 4 heads, 2 key-value heads
    whole = build(llama(width=64, depth=2, heads=4, vocab=256, kv_heads=4))

    def repeat(path, leaf):
        name = jax.tree_util.keystr(path)
        return np.repeat(leaf, 2, 2) if name.endswith(("['key']", "['value']")) else leaf

    params = jax.tree_util.tree_map_with_path(repeat, small.params)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, whole.params)
    got = small.forward(small.params, small.batch)["logits"]
    np.testing.assert_allclose(got, whole.forward(params, small.batch)["logits"], atol=2e-5)
