"""FLOPs of a step: of the model, by arithmetic, and what rematerialisation adds to them."""

from __future__ import annotations

import dataclasses
import math

import jax

from transformer.nn.count import train_flops
from transformer.scaling.program import Step, function


def model_flops(step: Step) -> float:
    """Of one step on all devices, by the rules of `nn.count`: nothing that is computed again."""
    shapes = {name: leaf.shape for name, leaf in step.batch.items()}
    slices, rows, length = shapes["tokens"]
    source = shapes["source_tokens"][-1] if "source_tokens" in shapes else 0
    slots = shapes["masked"][-1] if "masked" in shapes else None
    return slices * rows * train_flops(step.model, length, source, slots)


def tokens(step: Step) -> int:
    """Of one step, on both sides."""
    return sum(math.prod(step.batch[name].shape) for name in ("tokens", "source_tokens")
               if name in step.batch)


def recomputed_flops(step: Step) -> float:
    """What the backward pass multiplies again under this experiment's rematerialisation.

    The products of the traced step, less those of the same step without. The compiler may drop the
    last of a layer, whose result nobody reads, so this is a little too much.
    """
    if step.run.remat == "none":
        return 0.0
    plain = dataclasses.replace(step.run, remat="none")
    return max(0.0, _products(step, step.run) - _products(step, plain))


def _products(step: Step, run) -> float:
    with step.context():
        return products(jax.make_jaxpr(function(step, run))(step.state, step.batch).jaxpr)


def products(jaxpr) -> float:
    """FLOPs of the matrix products of a traced program, loops by their length.

    Of a branch the larger counts; a kernel's body counts for each point of its grid; a loop without
    a known length counts once.
    """
    return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (left, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[n] for n in left)
    inner = [products(found) for found in _inside(params)]
    if name == "cond":
        return max(inner)
    times = 1
    if name == "scan":
        times = params["length"]
    elif name == "pallas_call":
        times = math.prod(n for n in params["grid_mapping"].grid if isinstance(n, int))
    elif name == "shard_map":
        times = params["mesh"].size  # its body is the part of one device
    return times * sum(inner)


def _inside(params):
    """The programs that an equation holds."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            found = getattr(one, "jaxpr", one)
            if hasattr(found, "eqns"):
                yield found
