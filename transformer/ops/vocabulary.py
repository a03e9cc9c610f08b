"""Projection to a vocabulary and cross-entropy in one, over what one device has.

Logits of a whole batch are the largest arrays of a step ([B, T, V] in float32 is 13 GB for GPT-2 at
64 rows of 1,024). Here they are made for a few rows at a time, and since a sum of weighted nats has
a single number for its gradient, those few rows give their part of all gradients at once, before
the next are made: nothing is computed twice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from transformer.ops.loss import smoothed
from transformer.ops.target import platform

SCORES = {"cpu": 2**21, "gpu": 2**28, "tpu": 2**27}  # made at once on a device


class Plan(NamedTuple):
    """How nats are counted (see `ops.loss.cross_entropy`), and over which mesh axes.

    count: hits as well. untied: the table is [D, V], not [V, D]. rows, columns: axes that rows and
    the vocabulary are cut over. width: of `rows`, the one over which the table's gradient is cut.
    """

    smoothing: float = 0.0
    spread: str = "all"
    z: float = 0.0
    count: bool = False
    untied: bool = False
    rows: tuple = ()
    columns: tuple = ()
    width: tuple = ()


def totals(plan, x, table, bias_V, targets, weights):
    """(sum of weighted nats, sum of weighted hits) of all rows."""
    def few(sums, part):
        _, nats, hit, _ = _scored(plan, table, bias_V, *part)
        w = part[2]
        return (sums[0] + (nats * w).sum(), sums[1] + (hit * w).sum()), None

    sums, _ = jax.lax.scan(few, (jnp.float32(0), jnp.float32(0)),
                           _parts(_columns(plan, table), x, targets, weights))
    return tuple(_add(part, plan.rows) for part in sums)


def gradients(plan, x, table, bias_V, targets, weights):
    """((nats, hits), (dx, dtable [D, V], dbias))."""
    on, off, _ = _smoothing(plan, table)

    def few(carry, part):
        nats_hits, dtable_DV, dbias_V = carry
        x_RD, targets_R, w_R = part
        e_RV, nats_R, hit_R, (total_R, normaliser_R) = _scored(plan, table, bias_V, *part)
        here = _here(plan, e_RV, targets_R)
        d_RV = e_RV * ((1 + 2 * plan.z * normaliser_R) / total_R)[:, None] - off
        d_RV = (jnp.where(here, d_RV - (on - off), d_RV) * w_R[:, None])
        d = d_RV.astype(x_RD.dtype)
        dx_RD = _product(d, table, ((1,), (1 if plan.untied else 0,)))
        dtable_DV = dtable_DV + _product(x_RD, d, ((0,), (0,)))
        dbias_V = None if dbias_V is None else dbias_V + d_RV.sum(0)
        sums = (nats_hits[0] + (nats_R * w_R).sum(), nats_hits[1] + (hit_R * w_R).sum())
        return (sums, dtable_DV, dbias_V), _add(dx_RD, plan.columns).astype(x_RD.dtype)

    D, V = x.shape[-1], _columns(plan, table)
    zero = ((jnp.float32(0), jnp.float32(0)), jnp.zeros((D, V), jnp.float32),
            None if bias_V is None else jnp.zeros((V,), jnp.float32))
    (sums, dtable_DV, dbias_V), dx = jax.lax.scan(few, zero, _parts(V, x, targets, weights))
    others = tuple(axis for axis in plan.rows if axis not in plan.width)
    dtable_DV = _add(dtable_DV, others)
    for axis in plan.width:
        dtable_DV = jax.lax.psum_scatter(dtable_DV, axis, scatter_dimension=0, tiled=True)
    dbias_V = None if dbias_V is None else _add(dbias_V, plan.rows)
    return tuple(_add(part, plan.rows) for part in sums), (
        dx.reshape(-1, D)[:targets.size].reshape(x.shape), dtable_DV, dbias_V)


def _scored(plan, table, bias_V, x_RD, targets_R, w_R):
    """(e = exp(logits - their largest), nats, hits, (the sum of e, the log of the normaliser))."""
    logits_RV = _product(x_RD, table, ((1,), (0 if plan.untied else 1,)))
    if bias_V is not None:
        logits_RV = logits_RV + bias_V[None]
    top_R = jax.lax.stop_gradient(logits_RV.max(1))
    top_R = jax.lax.pmax(top_R, plan.columns) if plan.columns else top_R
    e_RV = jnp.exp(logits_RV - top_R[:, None])
    total_R = _add(e_RV.sum(1), plan.columns)
    normaliser_R = top_R + jnp.log(total_R)
    here = _here(plan, logits_RV, targets_R)
    own_R = _add(jnp.where(here, logits_RV, 0).sum(1), plan.columns)
    nats_R = normaliser_R - own_R
    if plan.smoothing:
        on, off, constant = _smoothing(plan, table)
        every_R = _add(logits_RV.sum(1), plan.columns)
        nats_R = normaliser_R - (on - off) * own_R - off * every_R - constant
    if plan.z:
        nats_R = nats_R + plan.z * jnp.square(normaliser_R)
    hit_R = jnp.zeros_like(own_R)
    if plan.count:  # the first of equals, as `ops.loss.hits`
        own_RV, place_RV = own_R[:, None], _places(plan, logits_RV)
        beaten = (own_RV > logits_RV) | ((own_RV == logits_RV) & (place_RV >= targets_R[:, None]))
        hit_R = 1.0 * (_add(jnp.sum(~beaten, 1), plan.columns) == 0)
    return e_RV, nats_R, hit_R, (total_R, normaliser_R)


def _parts(V: int, x, targets, weights):
    """Rows [R, ...] in groups that make so many scores at most: each array as [n, R / n, ...]."""
    rows = targets.size
    groups = -(-rows // max(1, SCORES.get(platform(), SCORES["gpu"]) // V))
    even = next((n for n in range(groups, 2 * groups) if rows % n == 0), groups)
    lacking = -rows % even  # no divisor is near: rows of weight 0 fill the last group
    flat = (x.reshape(rows, x.shape[-1]), targets.reshape(rows), weights.reshape(rows))
    if lacking:
        flat = [jnp.pad(array, ((0, lacking), *((0, 0),) * (array.ndim - 1))) for array in flat]
    return tuple(array.reshape(even, -1, *array.shape[1:]) for array in flat)


def _product(a, b, contract):
    """In the type of a, summed in float32."""
    return jax.lax.dot_general(a, b.astype(a.dtype), (contract, ((), ())),
                               preferred_element_type=jnp.float32)


def _columns(plan, table) -> int:
    return table.shape[1 if plan.untied else 0]


def _smoothing(plan, table) -> tuple[float, float, float]:
    """q(target), q(any other class), what to subtract; over the vocabulary of all devices."""
    if not plan.smoothing:
        return 1.0, 0.0, 0.0
    ways = math.prod(jax.lax.axis_size(axis) for axis in plan.columns)
    return smoothed(plan.smoothing, plan.spread, _columns(plan, table) * ways)


def _places(plan, logits_RV):
    """The id of each column here."""
    place_RV = jax.lax.broadcasted_iota(jnp.int32, logits_RV.shape, 1)
    first = 0
    for axis in plan.columns:
        first = first * jax.lax.axis_size(axis) + jax.lax.axis_index(axis)
    return place_RV + first * logits_RV.shape[1]


def _here(plan, logits_RV, targets_R):
    return _places(plan, logits_RV) == targets_R[:, None]


def _add(x, axes):
    return jax.lax.psum(x, axes) if axes else x
