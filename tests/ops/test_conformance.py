"""Every cell of attention's matrix: equal to a reference in float64, or refused with a reason."""

from __future__ import annotations

import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance import CELLS, HOW, PAGE, REACHES, Cell, H, K, S, T, pairwise

from transformer.error import UserError
from transformer.ops import backend, cudnn, splash
from transformer.ops.case import Case
from transformer.ops.reach import Causal, Everywhere
from transformer.ops.sight import Sight
from transformer.ops.target import compiling_for

B = 2
RUN = [cell for cell in CELLS if cell.refusal() is None]
DEFAULT = pairwise(RUN)


def laid(rows: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Segments and positions [B, size]: lengths differ from row to row."""
    cuts = {"padding": ((size - 50,), (size - 131,)),
            "packing": ((130, 70, size - 200), (size - 90, 90)),
            "both": ((130, 60, size - 213), (150, size - 177))}[rows]
    segments, positions = np.zeros((B, size), np.int32), np.zeros((B, size), np.int32)
    for b, lengths in enumerate(cuts):
        first = 0
        for n, length in enumerate(lengths):
            segments[b, first:first + length] = n + 1
            positions[b, first:first + length] = np.arange(length)
            first += length
    return segments, positions


@functools.cache
def drawn(cell: Cell):
    """Queries, keys, values, bias, the sight and the mask that it should amount to."""
    draw = np.random.default_rng(zlib.crc32(repr(cell[:4]).encode()))
    array = lambda *shape: draw.standard_normal(shape).astype(np.float32)
    case = cell.case()
    segments, positions = laid(cell.rows, T)
    key_segments, key_positions = laid(cell.rows, case.keys)
    aligned = case.aligned
    i_BT = np.arange(T)[None] if aligned else positions
    j_BS = np.arange(case.keys)[None] if aligned else key_positions
    prefix = key_positions < 40 if cell.reach == "prefix" else None
    sight = Sight(*map(jnp.asarray, (i_BT, j_BS, segments, key_segments)),
                  None if prefix is None else jnp.asarray(prefix), reach=REACHES[cell.reach],
                  aligned=aligned)
    i, j = positions[:, :, None], key_positions[:, None]
    seen = {"causal": lambda: j <= i, "bidirectional": lambda: i == i,
            "prefix": lambda: (j <= i) | prefix[:, None], "cross": lambda: i == i,
            "window": lambda: (j <= i) & (i - j <= 100),
            "window+global": lambda: (abs(i - j) <= 100) | (i < 3) | (j < 3)}[cell.reach]()
    seen = seen & (segments[:, :, None] == key_segments[:, None])
    read = segments > 0  # nothing reads what padding sees
    bias = array(1, H, T, case.keys) if cell.bias else None
    arrays = (array(B, T, H, K), array(B, case.keys, case.kv_heads, K),
              array(B, case.keys, case.kv_heads, K), array(B, T, H, K) * read[:, :, None, None])
    return arrays, bias, sight, seen


def reference(q, k, v, g, bias, seen, scale):
    """Attention and its gradients by hand in float64: (out, dq, dk, dv), of read queries."""
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    M = q.shape[2] // k.shape[2]
    k_, v_ = np.repeat(k, M, 2), np.repeat(v, M, 2)
    score = np.einsum("bthk,bshk->bhts", q, k_) * scale + (0 if bias is None else bias)
    score = np.where(seen[:, None], score, -np.inf)
    top = np.where(seen.any(-1)[:, None, :, None], score.max(-1, keepdims=True), 0)
    p = np.exp(score - top)
    p = p / np.maximum(p.sum(-1, keepdims=True), 1e-300)
    dp = np.einsum("bthk,bshk->bhts", g, v_)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
    fold = lambda x: x.reshape(*x.shape[:2], -1, M, x.shape[3]).sum(3)
    return (np.einsum("bhts,bshk->bthk", p, v_), np.einsum("bhts,bshk->bthk", ds, k_),
            fold(np.einsum("bhts,bthk->bshk", ds, q)), fold(np.einsum("bhts,bthk->bshk", p, g)))


def computed(cell: Cell, scale: float):
    """(out, dq, dk, dv) by the backend of the cell, as far as this machine can go."""
    (q, k, v, g), bias, sight, _ = drawn(cell)
    bias = None if bias is None else jnp.asarray(bias)
    case = cell.case()._replace(dtype="float32")
    if cell.backend == "cudnn":
        attend = lambda q, k, v: cudnn.attend(case, q, k, v, sight, scale, bias,
                                              implementation="xla")
    elif cell.backend == "splash":
        kernel = splash.made(case._replace(platform="cpu"))
        attend = lambda q, k, v: splash.attend(case, q, k, v, sight, scale, kernel)
    else:
        attend = lambda q, k, v: backend.attention(q, k, v, sight, scale, bias_BHTS=bias,
                                                   backend=cell.backend)

    @jax.jit
    def both(q, k, v, g):
        out, pull = jax.vjp(attend, q, k, v)
        return out, *pull(g)

    return both(q, k, v, g)


@pytest.mark.parametrize("cell", [
    pytest.param(cell, marks=[] if cell in DEFAULT else [pytest.mark.full],
                 id="-".join(map(str, cell))) for cell in RUN])
def test_a_cell_equals_the_reference(cell):
    (q, k, v, g), bias, sight, seen = drawn(cell)
    wanted = reference(q, k, v, g, bias, seen, 0.2)
    read = (np.abs(g).max((2, 3), keepdims=True) > 0)
    got = computed(cell, 0.2)
    np.testing.assert_allclose(got[0] * read, wanted[0] * read, atol=3e-6)
    for found, right in zip(got[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(found, right, atol=3e-6 * np.abs(right).max())


def test_every_cell_runs_or_is_refused_in_words():
    refused = [cell for cell in CELLS if cell not in RUN]
    assert len(RUN) + len(refused) == 6 * 3 * 2 * 2 * 4
    for cell in refused:
        with pytest.raises(UserError, match=f"run.attention={cell.backend}: .*[a-z]"):
            backend.choose(cell.case(), cell.backend)
    assert not [cell for cell in refused if cell.backend == "xla"]  # which takes everything
