"""From logits, made or not, to the terms of a loss."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from transformer.ops.loss import Term, cross_entropy, hits, weighted
from transformer.ops.placement import ACTIVATIONS, place
from transformer.ops.unscored import Unscored
from transformer.ops.vocabulary import Plan, gradients, totals


def predicted(logits, targets, weights, coefficient: float = 1.0, count: bool = False, **how):
    """The nats of targets under logits as a term, and their hits as another if `count`.

    Args:
      logits: [..., V], or `Unscored`, whose logits are then never all made.
      targets: [...] integers in [0, V). weights: of the predictions, [...].
      how: see `ops.loss.cross_entropy`.

    Returns:
      Term, or (Term, Term of coefficient 0).
    """
    if isinstance(logits, Unscored):
        weights = weights.astype(jnp.float32)
        nats, hit = _over_mesh(logits, targets, weights,
                               Plan(count=count, untied=logits.untied, **how))
        found = Term(nats, weights.sum(), coefficient), Term(hit, weights.sum(), 0.0)
    else:
        found = (weighted(cross_entropy(logits, targets, **how), weights, coefficient),
                 weighted(hits(logits, targets), weights, 0.0) if count else None)
    return found if count else found[0]


def _over_mesh(unscored, targets, weights, plan: Plan):
    """(sum of weighted nats, sum of weighted hits)."""
    arrays = (unscored.x, unscored.table, unscored.bias_V, targets, weights)
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return _summed(plan, None, *arrays)
    cut = lambda letters, array: place(letters, array.shape, mesh, ACTIVATIONS)
    stream, width = unscored.letters[:2], unscored.x.shape[-1]
    specs = (cut(stream + ".", unscored.x), cut(".V" if plan.untied else "V.", unscored.table),
             None if unscored.bias_V is None else cut("V", unscored.bias_V),
             cut(stream, targets), cut(stream, weights))
    rows = _axes(specs[3])
    plan = plan._replace(
        rows=rows, columns=_axes(specs[1]),
        width=tuple(a for a in rows if a == "fsdp" and width % mesh.shape[a] == 0))
    return _summed(plan, specs, *arrays)


def _axes(spec) -> tuple:
    """The mesh axes of all dimensions."""
    parts = (part if isinstance(part, tuple) else (part,) for part in spec)
    return tuple(axis for part in parts for axis in part if axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _summed(plan, specs, *arrays):
    return _mapped(functools.partial(totals, plan), specs, (PartitionSpec(),) * 2)(*arrays)


def _forward(plan, specs, *arrays):
    out = None
    if specs is not None:
        x, _, bias, *_ = specs
        one = lambda axes: axes[0] if axes else None
        table = PartitionSpec(one(plan.width), one(plan.columns))
        out = ((PartitionSpec(),) * 2, (x, table, bias))
    return _mapped(functools.partial(gradients, plan), specs, out)(*arrays)


def _backward(plan, specs, kept, cotangent):
    dx, dtable_DV, dbias_V = kept
    scale, _ = cotangent
    dtable = dtable_DV if plan.untied else dtable_DV.T
    return ((dx * scale).astype(dx.dtype), dtable * scale,
            None if dbias_V is None else dbias_V * scale, None, None)


_summed.defvjp(_forward, _backward)


def _mapped(function, specs, out):
    """The function over what each device has."""
    if specs is None:
        return function
    return jax.shard_map(function, in_specs=specs, out_specs=out, check_vma=False)
