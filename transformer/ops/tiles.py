"""Attention in tiles: scores are made a few rows and queries at a time and never kept.

The backward pass makes them again from queries and keys (Dao 2022 §3.1, without the running
softmax: a tile has all keys of its queries). Tiles that no query may look at are never made: nearly
half of them where attention is causal. On CPU a tile stays in the cache; elsewhere it takes all
rows, because devices want large products.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from transformer.ops.case import Case
from transformer.ops.dropout import dropout
from transformer.ops.target import platform

SCORES = 2**17  # of a tile on CPU: with its gradient a megabyte, a core's second-level cache
QUERIES, TILES = 64, 8  # of a tile at least; of a row at most


def refusal(case: Case) -> str | None:
    """Why this backend does not take the case; None where it does."""
    if case.bias:
        return "tiles add nothing to the scores"
    if case.cached:
        return "cached keys are few queries over many slots, which need no tiles"
    if case.dropout and case.spread:
        return "dropout of probabilities is drawn for all heads and queries of a row at once"
    return None


class Plan(NamedTuple):
    """tiles: ((first query, last, first key, last), ...) of a row; rows: how many at a time."""

    scale: float
    rate: float
    tiles: tuple
    rows: int


def attend_in_tiles(q_BTHK, k_BSGK, v_BSGK, see_BTS, scale: float, keys_B=None, rate: float = 0.0,
                    reach=None):
    """What `ops.attention.attend` gives for whole rows, but for rounding. Takes the same and

    reach: bounds the keys of a tile, see `Reach.slots`; None looks at all.
    """
    B, T, H, _ = q_BTHK.shape
    S = k_BSGK.shape[1]
    bound = reach.slots if reach else lambda first, last, keys: (0, keys)
    size = T if bound(0, 1, S) == bound(0, T, S) else max(QUERIES, -(-T // TILES))
    cuts = [(first, min(first + size, T)) for first in range(0, T, size)]
    tiles = tuple((*cut, *bound(*cut, S)) for cut in cuts)
    cached = max(1, SCORES // (H * size * S)) if platform() == "cpu" else B
    rows = max(n for n in range(1, B + 1) if B % n == 0 and n <= cached)
    return _attend(Plan(scale, rate, tiles, rows), q_BTHK, k_BSGK, v_BSGK, see_BTS, keys_B)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan, *arrays):
    return _by_rows(functools.partial(_forward, plan), plan.rows, *arrays)


def _keep(plan, *arrays):
    return _attend(plan, *arrays), arrays


def _differentiate(plan, arrays, g_BTHK):
    function = functools.partial(_backward, plan)
    return *_by_rows(function, plan.rows, *arrays, g_BTHK), None, None


_attend.defvjp(_keep, _differentiate)


def _by_rows(function, rows: int, *arrays):
    """function of a few rows at a time, one after the other; what has only one row goes to all."""
    B = arrays[0].shape[0]
    if rows == B:
        return function(*arrays)
    mine = [a is not None and a.shape[0] == B for a in arrays]
    split = [a.reshape(B // rows, rows, *a.shape[1:]) for a, m in zip(arrays, mine) if m]

    def few(parts):
        parts = iter(parts)
        return function(*(next(parts) if m else a for a, m in zip(arrays, mine)))

    return jax.tree.map(lambda a: a.reshape(B, *a.shape[2:]), jax.lax.map(few, split))


def _forward(plan, q_BTHK, k_BSGK, v_BSGK, see_BTS, keys_B):
    q_BGMTK, k_BGSK, v_BGSK = _heads_first(q_BTHK, k_BSGK, v_BSGK)
    out = []
    for queries, keys, _, p_BGTS, drop in _made(plan, q_BGMTK, k_BGSK, see_BTS, keys_B):
        o = jnp.einsum("bgts,bgsk->bgtk", drop(p_BGTS).astype(v_BGSK.dtype), v_BGSK[:, :, keys])
        out.append(_unfold(o, q_BGMTK))
    return _heads_last(jnp.concatenate(out, 3))


def _backward(plan, q_BTHK, k_BSGK, v_BSGK, see_BTS, keys_B, g_BTHK):
    q_BGMTK, k_BGSK, v_BGSK = _heads_first(q_BTHK, k_BSGK, v_BSGK)
    g_BGMTK, = _heads_first(g_BTHK, groups=k_BGSK.shape[1])
    S, dtype = k_BGSK.shape[2], g_BTHK.dtype
    dq, dk_BGSK, dv_BGSK = [], jnp.zeros_like(k_BGSK), jnp.zeros_like(v_BGSK)
    for queries, keys, q, p_BGTS, drop in _made(plan, q_BGMTK, k_BGSK, see_BTS, keys_B):
        g = _fold(g_BGMTK[:, :, :, queries])
        dv = jnp.einsum("bgts,bgtk->bgsk", drop(p_BGTS).astype(dtype), g)
        dp = drop(jnp.einsum("bgtk,bgsk->bgts", g, v_BGSK[:, :, keys],
                             preferred_element_type=jnp.float32))
        ds = (p_BGTS * (dp - (p_BGTS * dp).sum(-1, keepdims=True)) * plan.scale).astype(dtype)
        dq.append(_unfold(jnp.einsum("bgts,bgsk->bgtk", ds, k_BGSK[:, :, keys]), q_BGMTK))
        dk = jnp.einsum("bgts,bgtk->bgsk", ds, q)
        dk_BGSK, dv_BGSK = dk_BGSK + _widen(dk, keys, S), dv_BGSK + _widen(dv, keys, S)
    dq_BTHK = _heads_last(jnp.concatenate(dq, 3))
    return dq_BTHK, jnp.moveaxis(dk_BGSK, 2, 1), jnp.moveaxis(dv_BGSK, 2, 1)


def _made(plan, q_BGMTK, k_BGSK, see_BTS, keys_B):
    """Each tile: its slices, queries, probabilities, and the dropout of an array like those."""
    B, G, M, T, _ = q_BGMTK.shape
    S = k_BGSK.shape[2]
    see_BTS = jnp.broadcast_to(see_BTS, (see_BTS.shape[0], T, S))
    factor = None
    if keys_B is not None and plan.rate:  # drawn as a whole: the same draws however it is cut
        factor = dropout(jnp.ones((B, G * M, T, S)), keys_B, plan.rate).reshape(B, G, M, T, S)
    for tile in plan.tiles:
        queries, keys = slice(*tile[:2]), slice(*tile[2:])
        q = _fold(q_BGMTK[:, :, :, queries])
        score_BGTS = jnp.einsum("bgtk,bgsk->bgts", q, k_BGSK[:, :, keys],
                                preferred_element_type=jnp.float32) * plan.scale
        see = jnp.concatenate([see_BTS[:, None, queries, keys]] * M, 2)
        p_BGTS = jax.nn.softmax(jnp.where(see, score_BGTS, jnp.finfo(jnp.float32).min))
        part = None if factor is None else _fold(factor[:, :, :, queries, keys])
        yield queries, keys, q, p_BGTS, lambda x, part=part: x if part is None else x * part


def _heads_first(*arrays, groups=None):
    """Queries [B, T, H, K] -> [B, G, M, T, K]; keys and values [B, S, G, K] -> [B, G, S, K]."""
    q_BTHK, *others = arrays
    B, T, H, K = q_BTHK.shape
    G = groups or others[0].shape[2]
    q_BGMTK = jnp.moveaxis(q_BTHK.reshape(B, T, G, H // G, K), 1, 3)
    return q_BGMTK, *(jnp.moveaxis(x_BSGK, 1, 2) for x_BSGK in others)


def _heads_last(x_BGMTK):
    B, G, M, T, K = x_BGMTK.shape
    return jnp.moveaxis(x_BGMTK, 3, 1).reshape(B, T, G * M, K)


def _fold(x_BGMTK):
    """The query heads of a group as more queries: products of three dimensions are faster."""
    B, G, M, T, K = x_BGMTK.shape
    return x_BGMTK.reshape(B, G, M * T, K)


def _unfold(x_BGTK, like_BGMTK):
    B, G, M, _, K = like_BGMTK.shape
    return x_BGTK.reshape(B, G, M, -1, K)


def _widen(x_BGSK, keys, size: int):
    """Zeros for the keys of other tiles. Adding into a slice would be a slow scatter."""
    return jnp.pad(x_BGSK, ((0, 0), (0, 0), (keys.start, size - keys.stop), (0, 0)))
