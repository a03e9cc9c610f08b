"""Cross-entropy fused with the projection is the cross-entropy of the projection, in less memory.
"""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.ops import vocabulary
from transformer.ops.prediction import predicted
from transformer.ops.unscored import Unscored

B, T, D, V = 4, 12, 8, 50
HOW = ({}, {"z": 0.1}, {"smoothing": 0.1}, {"smoothing": 0.2, "spread": "others", "z": 0.01})


def drawn(dtype="float32"):
    draw = np.random.default_rng(0)
    array = lambda *shape: jnp.asarray(draw.standard_normal(shape), dtype)
    targets = jnp.asarray(draw.integers(0, V, (B, T)))
    weights = jnp.asarray(draw.random((B, T)) * (draw.random((B, T)) < 0.8), jnp.float32)
    return array(B, T, D), array(V, D).astype("float32"), array(V).astype("float32"), (
        targets, weights)


def both(untied, bias, how, dtype="float32"):
    """Value, hits and gradients through whole logits and through parts of them."""
    x, table, bias_V, asked = drawn(dtype)
    arrays = (x, table.T if untied else table, bias_V if bias else None)

    def loss(arrays, parts):
        unscored = Unscored(*arrays, untied)
        nats, hits = predicted(unscored if parts else unscored.logits(), *asked, count=True, **how)
        return 1.7 * nats.sum, (hits.sum, nats.weight)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    return step(arrays, False), step(arrays, True)


@pytest.mark.parametrize("untied,bias,how,rows", [
    *itertools.product((False, True), (False, True), HOW, (6,)),
    (False, True, HOW[3], 1), (True, False, HOW[3], B * T),
    (False, True, HOW[3], 7)], ids=str)  # the last of seven groups is filled up
def test_parts_give_what_whole_logits_give(monkeypatch, untied, bias, how, rows):
    monkeypatch.setitem(vocabulary.SCORES, "cpu", rows * V)
    whole, parts = both(untied, bias, how)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


def test_bfloat16_streams_are_summed_in_float32(monkeypatch):
    """Logits that were never rounded are nearer to the truth than whole ones."""
    monkeypatch.setitem(vocabulary.SCORES, "cpu", 6 * V)
    ((true, _), _), _ = both(False, True, {})
    x, *_ = drawn("bfloat16")
    ((whole, _), _), ((parts, _), slopes) = both(False, True, {}, "bfloat16")
    assert slopes[0].dtype == jnp.bfloat16 and slopes[1].dtype == jnp.float32
    assert abs(parts - true) < abs(whole - true)


def test_logits_of_a_batch_never_exist():
    """Neither in the program nor in the compiler's memory, forward or backward."""
    V, rows = 4096, 1024
    x = jax.ShapeDtypeStruct((4, rows // 4, 16), jnp.float32)
    table = jax.ShapeDtypeStruct((V, 16), jnp.float32)
    ids = jax.ShapeDtypeStruct((4, rows // 4), jnp.int32)

    def loss(x, table, ids, parts):
        unscored = Unscored(x, table)
        return predicted(unscored if parts else unscored.logits(), ids, ids > 0).sum

    traced = [jax.jit(jax.grad(lambda *a, p=parts: loss(*a, p), (0, 1))).trace(x, table, ids)
              for parts in (True, False)]
    sizes = [[int(np.prod([int(n) for n in shape.split(",")])) for shape in
              re.findall(r"f32\[([\d,]+)\]", str(one.jaxpr))] for one in traced]
    assert max(sizes[0]) <= vocabulary.SCORES["cpu"] < rows * V == max(sizes[1])
    bytes_ = [one.lower().compile().memory_analysis().temp_size_in_bytes for one in traced]
    assert bytes_[0] < 4 * rows * V <= bytes_[1]


@pytest.mark.parametrize("ids", (0, V - 1))
def test_hits_are_the_first_of_equals(monkeypatch, ids):
    """As `ops.loss.hits`: of equal logits the first is the prediction."""
    monkeypatch.setitem(vocabulary.SCORES, "cpu", 6 * V)
    unscored = Unscored(jnp.zeros((B, T, D)), jnp.ones((V, D)))
    _, hits = jax.jit(lambda u: predicted(u, jnp.full((B, T), ids), jnp.ones((B, T)), count=True))(
        unscored)
    assert hits.sum == (B * T if ids == 0 else 0)
