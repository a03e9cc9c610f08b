"""Normalisation over the last dimension, computed in float32 whatever comes in.

The backward pass keeps only the input and computes the rest again.
"""

import functools

import jax
import jax.numpy as jnp


def lift(vector, rank: int):
    """`vector` with leading dimensions of one: it broadcasts to `rank` without promotion."""
    return vector.reshape((1,) * (rank - vector.ndim) + vector.shape)


@functools.partial(jax.checkpoint, static_argnums=3)
def layer_norm(x, scale, shift, eps: float):
    """(x - mean) / sqrt(variance + eps) * scale + shift (Ba 2016 §3).

    Args:
      x: [..., D]; scale, shift: [D], shift may be None; eps: added to the variance.

    Returns:
      [..., D] in the type of x. The variance is that of the centred values: E[x^2] - E[x]^2
      cancels in float32.
    """
    h = x.astype(jnp.float32)
    h = h - h.mean(-1, keepdims=True)
    h = h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + eps) * lift(scale, x.ndim)
    return (h if shift is None else h + lift(shift, x.ndim)).astype(x.dtype)


@functools.partial(jax.checkpoint, static_argnums=2)
def rms_norm(x, scale, eps: float):
    """x / sqrt(mean(x^2) + eps) * scale (Zhang & Sennrich 2019 §4). Shapes as `layer_norm`."""
    h = x.astype(jnp.float32)
    h = h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + eps)
    return h.astype(x.dtype) * lift(scale, x.ndim).astype(x.dtype)
