"""Losses per prediction, in float32 whatever comes in. Nothing here takes a mean."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Term(NamedTuple):
    """One part of an objective: a sum over predictions and the weight that was seen.

    The total loss is the sum over terms of coefficient * sum / weight, with both added up over the
    whole global batch first. A coefficient of 0 marks a term that is only reported.
    """

    sum: Any
    weight: Any
    coefficient: float = 1.0


def weighted(values, weights, coefficient: float = 1.0) -> Term:
    """The term of `values` with `weights` of the same shape."""
    weights = weights.astype(jnp.float32)
    return Term((values * weights).sum(), weights.sum(), coefficient)


def cross_entropy(logits, targets, smoothing: float = 0.0, spread: str = "all", z: float = 0.0):
    """-log p(target), or -sum_v q(v) log p(v) where labels are smoothed. Nats per position.

    Args:
      logits: [..., V], any float type; targets: [...] integers in [0, V). Ids out of range give
        NaN, which names nothing: check them on the host.
      smoothing: probability that is taken from the target (Szegedy 2016 §7).
      spread: "all" gives every class smoothing / V, the target too (Szegedy 2016, T5). "others"
        gives the classes other than the target smoothing / (V - 1) and subtracts the entropy of q,
        so that a perfect model reaches 0 (the code of Vaswani 2017).
      z: adds z * log^2 of the softmax's normaliser, which keeps it near 1 (Chowdhery 2022 §5).

    Returns:
      [...] float32.
    """
    # No one-hot: a gather touches one logit, where a one-hot would pass over all of them again.
    logits = logits.astype(jnp.float32)
    own = at(logits, targets)
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    if smoothing:
        on, off, constant = smoothed(smoothing, spread, logits.shape[-1])
        own = (on - off) * own + off * logits.sum(-1) + constant
    nats = normaliser - own
    return nats + z * jnp.square(normaliser) if z else nats


def smoothed(smoothing: float, spread: str, classes: int) -> tuple[float, float, float]:
    """q(target), q(any other class), and the constant to subtract."""
    if spread == "all":
        off = smoothing / classes
        return 1 - smoothing + off, off, 0.0
    on, off = 1 - smoothing, smoothing / (classes - 1)
    return on, off, -(on * math.log(on) + (classes - 1) * off * math.log(off))


def at(logits, targets):
    """The logit of each target: [..., V], [...] -> [...]."""
    return jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]


def hits(logits, targets):
    """1.0 where `targets` is the argmax of `logits` (the first of equals), else 0.0. -> [...]

    Exactly `argmax == target`, but as a comparison that vectorises: half the time of argmax on
    CPU. Logits that are not numbers never hit.
    """
    logits = jax.lax.stop_gradient(logits)
    own, target = at(logits, targets)[..., None], targets[..., None]
    later = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1) >= target
    return ((own > logits) | ((own == logits) & later)).all(-1).astype(jnp.float32)


def binary_cross_entropy(logits, labels):
    """-log p of labels 0 or 1, where p(1) = sigmoid(logit). Nats, float32, of the shape given."""
    logits = logits.astype(jnp.float32)
    return jax.nn.softplus(logits) - labels.astype(jnp.float32) * logits


def squared_error(values, targets):
    """(value - target)^2, float32."""
    return jnp.square(values.astype(jnp.float32) - targets.astype(jnp.float32))
