"""Adafactor (Shazeer 2018) with the constants of T5, counting each layer of a stack on its own.

optax has the same rule, but it takes scale, clipping and factors over a whole leaf; a leaf here
may hold all layers of a segment, which are separate parameters of the published recipe.
"""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax

from transformer.training import paths

_TINY = 1e-30  # added to squared gradients
_SMALLEST_SCALE = 1e-3  # a parameter's scale never counts as less
_HEADS = re.compile(r"(attention|cross)/(query|key|value|out)$")


def scale_by_adafactor(smallest: int | None = 128) -> optax.GradientTransformation:
    """Gradients -> max(RMS(p), 1e-3) * x / max(1, RMS(x)), x = g / sqrt(second moment).

    The second moment decays by 1 - t^-0.8 (t = 1 at first) and is factored into the means over
    the two largest dimensions where both reach `smallest`, never if that is None; heads and their
    size are one dimension, as in T5's own matrices. State: {"count", "moments"}, moments of a
    parameter being {"rows", "columns"} or {"whole"}.
    """
    def init(params):
        moments = {p: _start(p, x, smallest) for p, x in paths.named(params).items()}
        return {"count": jnp.zeros([], jnp.int32), "moments": paths.nested(moments)}

    def update(gradients, state, params):
        decay = 1 - (state["count"] + 1.0) ** -0.8
        named, before = paths.named(gradients), paths.named(state["moments"])
        after, steps = {}, {}
        for path, parameter in paths.named(params).items():
            old = {k: before[f"{path}/{k}"] for k in ("rows", "columns", "whole")
                   if f"{path}/{k}" in before}
            steps[path], after[path] = _leaf(path, named[path], parameter, old, decay, smallest)
        return paths.like(gradients, steps), {
            "count": state["count"] + 1, "moments": paths.nested(after)}

    return optax.GradientTransformation(init, update)


def _matrix(path: str, shape) -> tuple[int, ...]:
    """The shape with heads and their size as one dimension."""
    n = _heads(path, shape)
    return tuple(shape) if n is None else (*shape[:n], shape[n] * shape[n + 1], *shape[n + 2:])


def _heads(path: str, shape) -> int | None:
    """The dimension of the heads, whose size comes after it; None where there are none."""
    lead = int(paths.stacked(path))
    if len(shape) - lead != 3 or not _HEADS.search(path):
        return None
    return lead if path.endswith("out") else lead + 1


def _factored(path: str, shape, smallest: int | None) -> tuple[int, int] | None:
    """(second largest, largest) dimension of one layer, or None where it is not factored."""
    lead = int(paths.stacked(path))
    if smallest is None or len(shape) - lead < 2:
        return None
    order = np.argsort(shape[lead:], kind="stable") + lead
    return (int(order[-2]), int(order[-1])) if shape[order[-2]] >= smallest else None


def kept_dimensions(path: str, shape) -> dict[str, tuple[int, ...]]:
    """Which dimensions of a parameter its "rows" and "columns" have; one of heads and their size
    together counts as that of the heads."""
    second, largest = _factored(path, _matrix(path, shape), 0)
    heads = _heads(path, shape)
    own = [n for n in range(len(shape)) if heads is None or n != heads + 1]
    return {"rows": tuple(np.delete(own, largest).tolist()),
            "columns": tuple(np.delete(own, second).tolist())}


def _start(path: str, leaf, smallest: int | None) -> dict:
    shape = _matrix(path, leaf.shape)
    if (pair := _factored(path, shape, smallest)) is None:
        return {"whole": jnp.zeros(leaf.shape)}
    second, largest = pair
    return {"rows": jnp.zeros(np.delete(shape, largest)),
            "columns": jnp.zeros(np.delete(shape, second))}


def _leaf(path, gradient, parameter, old, decay, smallest):
    shape = _matrix(path, gradient.shape)
    if (pair := _factored(path, shape, smallest)) is None:
        new = {"whole": decay * old["whole"] + (1 - decay) * (jnp.square(gradient) + _TINY)}
        step = gradient / jnp.sqrt(new["whole"])
    else:
        new, step = _factor(gradient.reshape(shape), old, decay, *pair)
        step = step.reshape(gradient.shape)
    layers = tuple(range(int(paths.stacked(path)), gradient.ndim))
    step = step / jnp.maximum(1.0, _rms(step, layers))
    return step * jnp.maximum(_rms(parameter, layers), _SMALLEST_SCALE), new


def _factor(gradient, old, decay, second: int, largest: int):
    square = jnp.square(gradient) + _TINY
    new = {"rows": decay * old["rows"] + (1 - decay) * square.mean(largest),
           "columns": decay * old["columns"] + (1 - decay) * square.mean(second)}
    rows = jnp.expand_dims(new["rows"], largest)
    columns = jnp.expand_dims(new["columns"], second)
    return new, gradient / jnp.sqrt(rows / rows.mean(second, keepdims=True)) / jnp.sqrt(columns)


def _rms(x, axes) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x), axes, keepdims=True))
