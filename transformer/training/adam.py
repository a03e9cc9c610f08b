"""Adam's moments without bias correction, and the correction applied to the whole step.

The two parts from which BERT's AdamW and GPT-1's Adam are made; optax always corrects.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import optax


def scale_by_uncorrected_moments(b1: float, b2: float, eps: float):
    """m / (sqrt(v) + eps) with m and v as they stand. State: {"first", "second"}."""
    def init(params):
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return {"first": zeros(), "second": zeros()}

    def update(gradients, state, params=None):
        first = _decayed_mean(b1, state["first"], gradients)
        second = _decayed_mean(b2, state["second"], jax.tree.map(jnp.square, gradients))
        steps = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), first, second)
        return steps, {"first": first, "second": second}

    return optax.GradientTransformation(init, update)


def _decayed_mean(decay: float, mean, new):
    return jax.tree.map(lambda m, x: decay * m + (1 - decay) * x, mean, new)


def scale_by_step_correction(b1: float, b2: float):
    """Multiplies the step by sqrt(1 - b2^t) / (1 - b1^t), t = 1 at the first update."""
    def short(decay, t):  # 1 - decay^t; the plain difference loses 5 digits of fp32 at t = 1
        return -jnp.expm1(t * math.log(decay)) if decay else 1.0

    def factor(count):
        t = jnp.asarray(count, jnp.float32) + 1
        return jnp.sqrt(short(b2, t)) / short(b1, t)

    return optax.scale_by_schedule(factor)
