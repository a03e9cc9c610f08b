"""T5's bias of scores: which bucket a distance falls into, and that every layer adds it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.nn.bias import RelativeBias
from transformer.ops.attention import attend
from transformer.ops.bias import bucket
from transformer.zoo.t5 import t5

# (distance from which, bucket) with 32 buckets up to 128, worked out by hand. Keys at or before the
# query: 8 + floor(2 log2(d / 8)), at most 15. Only those: 16 + floor(16 log8(d / 16)), at most 31.
BOTH_SIDES = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (12, 9),
              (16, 10), (23, 11), (32, 12), (46, 13), (64, 14), (91, 15))
PAST_ONLY = (*((d, d) for d in range(17)), (19, 17), (21, 18), (24, 19), (27, 20), (31, 21),
             (35, 22), (40, 23), (46, 24), (52, 25), (59, 26), (67, 27), (77, 28), (87, 29),
             (99, 30), (113, 31))


def by_table(table, distance):
    return [b for d, b in table if d <= distance][-1]


def by_formula(distance, buckets, last):
    """floor(exact + (buckets - exact) log(d / exact) / log(last / exact)), in whole numbers."""
    exact = buckets // 2
    if distance < exact:
        return distance
    rest = buckets - exact
    reached = [k for k in range(rest) if distance**rest * exact**k >= last**k * exact**rest]
    return exact + reached[-1]


def at(away, *how):
    """The bucket of the key so many positions after the query."""
    i, j = max(-away, 0), max(away, 0)
    return int(bucket(jnp.array([[i]]), jnp.array([[j]]), *how)[0, 0, 0])


@pytest.mark.parametrize("distance", [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 5000])
def test_the_borders_by_hand(distance):
    near = by_table(BOTH_SIDES, distance)
    assert at(-distance, 32, 128, False) == near
    assert at(distance, 32, 128, False) == near + (16 if distance else 0)
    assert at(-distance, 32, 128, True) == by_table(PAST_ONLY, distance)
    assert at(distance, 32, 128, True) == 0  # the future counts as here


@pytest.mark.parametrize("buckets,last", [(32, 128), (8, 20), (7, 9), (2, 3)])
@pytest.mark.parametrize("causal", [True, False])
def test_every_distance_by_the_formula(buckets, last, causal):
    if not causal:
        buckets *= 2
    place = np.arange(last + 30)
    found = np.asarray(bucket(jnp.asarray(place[None]), jnp.asarray(place[None]), buckets, last,
                              causal))[0]
    side = buckets if causal else buckets // 2
    for i in place:
        for j in place:
            away = abs(i - j) if not causal else max(i - j, 0)
            after = side if j > i and not causal else 0
            assert found[i, j] == by_formula(int(away), side, last) + after
    assert set(found.ravel()) <= set(range(buckets))


def test_a_shift_of_all_positions_changes_nothing():
    i_BT = jnp.asarray(np.random.default_rng(0).integers(0, 300, (2, 40)))
    for causal in (True, False):
        here, there = (bucket(i_BT + n, i_BT + n, 32, 128, causal) for n in (0, 1000))
        np.testing.assert_array_equal(here, there)


def test_each_head_reads_its_column():
    """Positions of each row of their own, as in packed rows and while decoding."""
    draw = np.random.default_rng(0)
    table, i_BT, j_BS = draw.standard_normal((32, 3)), np.array([[4, 0], [90, 2]]), np.array(
        [[0, 1, 2], [3, 100, 2]])
    bias = RelativeBias(heads=3).build("bias")
    params = {"params": {"table": jnp.asarray(table, jnp.float32)}}
    found = bias.apply(params, jnp.asarray(i_BT), jnp.asarray(j_BS))
    assert found.shape == (2, 3, 2, 3)
    for b, h, t, s in np.ndindex(found.shape):
        away = j_BS[b, s] - i_BT[b, t]
        row = by_table(BOTH_SIDES, abs(away)) + (16 if away > 0 else 0)
        np.testing.assert_allclose(found[b, h, t, s], table[row, h], rtol=1e-6)


@pytest.mark.parametrize("groups", [4, 2])
def test_the_bias_joins_the_scaled_scores_of_its_head(groups):
    draw = np.random.default_rng(0)
    array = lambda *shape: draw.standard_normal(shape).astype(np.float32)
    q, k, v = array(2, 3, 4, 5), array(2, 6, groups, 5), array(2, 6, groups, 5)
    bias, see = array(1, 4, 3, 6), draw.random((2, 3, 6)) < 0.7
    see[:, :, 0] = True
    found = attend(*map(jnp.asarray, (q, k, v, see)), 0.3, bias_BHTS=jnp.asarray(bias))
    for b, t, h in np.ndindex(2, 3, 4):
        key, value = (x[b, :, h * groups // 4] for x in (k, v))
        weight = np.exp(0.3 * key @ q[b, t, h] + bias[0, h, t]) * see[b, t]
        np.testing.assert_allclose(found[b, t, h], weight @ value / weight.sum(), atol=1e-5)


def changed(small, side, stack, rows):
    """Where the stream of one side moves when a token does, with the bias of these buckets at
    minus infinity: booleans [T] for each token."""
    bias = np.array(small.params[stack]["bias"]["table"])
    bias[rows] = -1e9
    params = {**small.params, stack: {**small.params[stack], "bias": {"table": bias}}}
    stream = "memory" if stack == "encoder" else "hidden"
    before = np.asarray(small.forward(params, small.batch)[stream])
    moved = []
    for n in range(before.shape[1]):
        tokens = small.batch[side + "tokens"]
        batch = {**small.batch, side + "tokens": tokens.at[:, n].set(tokens[:, n] + 90)}
        after = np.asarray(small.forward(params, batch)[stream])
        moved.append((after != before).any((0, 2)))
    return np.array(moved)


def test_every_layer_of_both_stacks_adds_its_bias(tiny):
    """A bias that forbids the keys after the query makes an encoder causal: no layer leaks. One
    that forbids those before it leaves each token of a decoder alone."""
    small = tiny("t5")
    after = changed(small, "source_", "encoder", slice(17, 32))
    np.testing.assert_array_equal(after, np.triu(np.ones((7, 7), bool)))
    alone = changed(small, "", "decoder", slice(1, 32))
    np.testing.assert_array_equal(alone, np.eye(12, dtype=bool))


def test_a_bias_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="Stack.bias is for 3 heads, but attention has 4"):
        dataclasses.replace(t5("tiny").encoder, bias=RelativeBias(heads=3))
    for wrong in (dict(buckets=3), dict(buckets=1, causal=True), dict(distance=8)):
        with pytest.raises(UserError, match="distances have buckets of their own; give more"):
            RelativeBias(heads=4, **wrong)
