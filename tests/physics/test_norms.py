"""Norms that count their scale from an offset, and norms of queries and keys, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from transformer.nn.attention import Attention
from transformer.nn.context import Context, Run
from transformer.nn.norm import RMSNorm
from transformer.nn.position import Rotary
from transformer.ops.reach import Causal


def filled(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_an_offset_is_added_to_the_scale_which_begins_that_much_lower():
    """Gemma's norms: scale 0 at first, yet they begin as all others do."""
    x = filled(2, 3, 8)
    plain, counted = (RMSNorm(eps=1e-6, offset=offset).build("norm") for offset in (0.0, 1.0))
    params = {name: norm.init(jax.random.key(0), x)["params"]["scale"]
              for name, norm in (("plain", plain), ("counted", counted))}
    assert (params["plain"] == 1).all() and (params["counted"] == 0).all()
    scale = filled(8, seed=1)
    found = counted.apply({"params": {"scale": scale}}, x)
    wanted = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * (1 + scale)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(found, plain.apply({"params": {"scale": 1 + scale}}, x), rtol=1e-6)


def test_queries_and_keys_are_normed_before_they_turn_and_values_never():
    """Grouped heads, each normed over its own dimensions by one scale for all heads."""
    D, H, G, K, T = 6, 4, 2, 4, 5
    spec = Attention(heads=H, kv_heads=G, head_dim=K, reach=Causal(), rotary=Rotary(base=100.0),
                     qk_norm=RMSNorm(eps=1e-6))
    params = {"query": filled(D, H, K, seed=1), "key": filled(D, G, K, seed=2),
              "value": filled(D, G, K, seed=3), "out": filled(H, K, D, seed=4),
              "query_norm": {"scale": filled(K, seed=5)}, "key_norm": {"scale": filled(K, seed=6)}}
    x_TD, i_T = filled(T, D), np.arange(T)
    context = Context(Run(), jnp.asarray(i_T[None]), jnp.asarray(i_T[None]))
    found, _ = jax.jit(lambda params, x: spec.build("attention").apply(
        {"params": params}, x, context, {}))(params, x_TD[None])

    def prepared(name, head):
        h_TK = x_TD @ params[name][:, head]
        h_TK = h_TK / np.sqrt((h_TK**2).mean(-1, keepdims=True) + 1e-6)
        h_TK = h_TK * params[f"{name}_norm"]["scale"]
        turned = (h_TK[:, :2] + 1j * h_TK[:, 2:]) * np.exp(
            1j * i_T[:, None] * 100.0 ** (-np.arange(2) / 2))
        return np.concatenate([turned.real, turned.imag], 1)

    wanted = np.zeros((T, D))
    for head in range(H):
        score = prepared("query", head) @ prepared("key", head // 2).T / np.sqrt(K)
        weight = np.tril(np.exp(score))
        weight /= weight.sum(-1, keepdims=True)
        wanted += weight @ (x_TD @ params["value"][:, head // 2]) @ params["out"][head]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-5)
