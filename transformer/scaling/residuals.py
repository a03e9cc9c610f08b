"""What the backward pass needs of the forward pass, counted on the traced step of one slice."""

from __future__ import annotations

import math

import jax

from transformer.scaling.program import Step
from transformer.training.step import combine


def saved(step: Step) -> float:
    """Bytes on one device. What lies between two layers of a kind is counted once for each.

    Counted before the compiler sees it, which may keep less. Shares are those of the letters: rows
    by `data` and `fsdp`, positions by `sequence`, and by `tensor` one dimension that is a number of
    heads, a feed-forward width or the vocabulary. What has a parameter's shape lies as it does.
    """
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype),
                          step.state["params"])
    part = {name: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
            for name, leaf in step.batch.items()}
    shares = {leaf.shape: math.prod(leaf.sharding.shard_shape(leaf.shape)) / leaf.size
              for leaf in jax.tree.leaves(step.state["params"])}
    total = 0.0
    for shape, dtype in _kept(step, params, part):
        share = shares.get(shape) or _share(step, shape)
        total += math.prod(shape) * dtype.itemsize * share
    return total


def _kept(step: Step, params, part) -> list:
    """(shape, dtype) of all that the backward pass is handed, parameters and the batch apart."""
    experiment = step.experiment
    apply = step.model.stepped(step.run)

    def loss(params, part, key):
        terms = experiment.objective.loss(apply, params, part, key, True)
        return combine(terms, experiment.objective.weights(part))

    def residuals(params, part, key):
        return jax.tree.leaves(jax.vjp(lambda p: loss(p, part, key), params)[1])

    with step.context():
        traced = jax.make_jaxpr(residuals)(params, part, jax.eval_shape(lambda: jax.random.key(0)))
    given, seen, found = {id(v) for v in traced.jaxpr.invars}, set(), []
    for variable in traced.jaxpr.outvars:
        aval = getattr(variable, "aval", None)
        known = id(variable) in given or id(variable) in seen
        if aval is None or known or not hasattr(aval, "shape") or jax.dtypes.issubdtype(
                aval.dtype, jax.dtypes.prng_key):
            continue
        seen.add(id(variable))
        found.append((aval.shape, aval.dtype))
    return found


def _share(step: Step, shape) -> float:
    """The part of an activation of this shape that one device holds."""
    sizes, share = dict(step.mesh.shape), 1.0
    rows = {leaf.shape[1] for leaf in step.batch.values()}
    lengths = {leaf.shape[2] for leaf in step.batch.values() if len(leaf.shape) > 2}
    ways = sizes["data"] * sizes["fsdp"]
    left = list(shape)
    for wanted, divisor in ((rows, ways), (lengths, sizes["sequence"]),
                            (_split(step) if sizes["tensor"] > 1 else (), sizes["tensor"])):
        n = next((n for n, size in enumerate(left) if size in wanted and size % divisor == 0), None)
        if n is not None:
            share /= divisor
            left[n] = 0
    return share


def _split(step: Step) -> set[int]:
    """Sizes of the dimensions of parameters that `tensor` divides."""
    found = set()
    for leaf in jax.tree.leaves(step.state["params"]):
        for size, axes in zip(leaf.shape, leaf.sharding.spec):
            if "tensor" in (axes if isinstance(axes, tuple) else (axes,)):
                found.add(size)
    return found
