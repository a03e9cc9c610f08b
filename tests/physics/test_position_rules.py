"""What position may and may not do: nothing without it, only distances with rotary."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest
from families import cells

from transformer.nn.position import NoPosition
from transformer.ops.rotary import rates, rotate
from transformer.ops.sinusoid import sinusoid

ORDER = np.random.default_rng(1).permutation(12)


def shuffled(batch):
    shuffle = ("tokens", "types")
    return {name: v[:, ORDER] if name in shuffle else v for name, v in batch.items()}


def test_without_positions_a_permutation_passes_through(tiny, build):
    spec = tiny("bert").spec
    bare = dataclasses.replace(spec.embedding, position=NoPosition())
    small = build(dataclasses.replace(spec, embedding=bare), "mlm")
    there = small.forward(small.params, small.batch)["mlm"][:, ORDER]
    np.testing.assert_allclose(small.forward(small.params, shuffled(small.batch))["mlm"], there,
                               atol=2e-5)


def test_with_positions_it_does_not(tiny):
    small = tiny("bert")
    there = small.forward(small.params, small.batch)["mlm"][:, ORDER]
    gap = np.abs(small.forward(small.params, shuffled(small.batch))["mlm"] - there)
    assert gap.max() > 0.01


def test_rotary_scores_depend_on_distance_alone():
    draw = np.random.default_rng(0)
    q, k = (np.tile(draw.standard_normal((1, 1, 2, 8)), (1, 9, 1, 1)) for _ in "qk")
    i_BT = jnp.arange(9)[None]
    turned = [rotate(jnp.asarray(x, jnp.float32), i_BT, rates(x.shape[-1], 100.0)) for x in (q, k)]
    score_HTS = np.einsum("bthk,bshk->hts", *turned)
    for distance in range(-8, 9):
        along = np.diagonal(score_HTS, -distance, 1, 2)
        np.testing.assert_allclose(along, along[:, :1].repeat(9 - abs(distance), 1), atol=1e-5)
    assert np.abs(np.diff(score_HTS[:, 0])).min() > 1e-3  # and they do depend on it


def test_rotary_turns_complex_numbers():
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 8)).astype(np.float32)
    i_BT = np.array([[0, 5, 17], [2, 3, 400]])
    z = x[..., :4] + 1j * x[..., 4:]
    angle = i_BT[..., None, None] * 10_000.0 ** (-2 * np.arange(4) / 8)  # Su 2021 §3.2.2
    turned = np.exp(1j * angle) * z
    want = np.concatenate([turned.real, turned.imag], -1)
    turn = functools.partial(rotate, rate_K=rates(8, 10_000.0))
    np.testing.assert_allclose(turn(jnp.asarray(x), jnp.asarray(i_BT)), want, atol=1e-4)


RELATIVE = cells(("llama", "palm", "modernbert", "neox", "qwen3", "gemma", "t5"), ("llama", "t5"))


@pytest.mark.parametrize("name", RELATIVE)
def test_relative_positions_ignore_a_shift_of_all(tiny, name):
    """Of rows that are shifted as one; each side of an encoder-decoder by itself."""
    small = tiny(name)
    placed = [key for key in small.batch if key.endswith("positions")]
    near = small.forward(small.params, small.batch)[small.head]
    for n, key in enumerate(placed):
        far = {**small.batch, key: small.batch[key] + 7 + 4 * n}
        np.testing.assert_allclose(small.forward(small.params, far)[small.head], near, atol=2e-5)
        apart = {**small.batch, key: small.batch[key] * 2}
        assert np.abs(small.forward(small.params, apart)[small.head] - near).max() > 1e-3


def test_sinusoid_is_the_formula():
    i_BT, width = np.array([[0, 1, 63, 4095]]), 10
    table = np.empty((1, 4, width))
    for k in range(width // 2):  # Vaswani 2017 §3.5
        table[..., 2 * k] = np.sin(i_BT / 10_000 ** (2 * k / width))
        table[..., 2 * k + 1] = np.cos(i_BT / 10_000 ** (2 * k / width))
    np.testing.assert_allclose(sinusoid(jnp.asarray(i_BT), width), table, atol=5e-4)
    np.testing.assert_allclose(sinusoid(jnp.asarray(i_BT[:, :3]), width), table[:, :3], atol=1e-5)


def test_sinusoid_shifts_by_a_rotation():
    width, offset = 8, 5
    here, there = (np.asarray(sinusoid(jnp.arange(30)[None] + n, width))[0] for n in (0, offset))
    for k in range(width // 2):  # PE(p + 5) = R PE(p) in each plane, for every p
        angle = offset / 10_000 ** (2 * k / width)
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        plane = slice(2 * k, 2 * k + 2)
        np.testing.assert_allclose(there[:, plane], here[:, plane] @ turn, atol=1e-5)
