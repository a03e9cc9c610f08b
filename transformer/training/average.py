"""Averages of parameters: a moving one during training, and the mean of several checkpoints."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from transformer.error import UserError


def moving(average, params, decay: float, count):
    """The exponential moving average after one more update.

    `count` is the number of updates in it so far. The decay rises as (1 + count) / (10 + count)
    up to `decay`, so that a short run does not stay near its random start.
    """
    count = jnp.asarray(count, jnp.float32)
    decay = jnp.minimum(decay, (1 + count) / (10 + count))
    return jax.tree.map(lambda a, p: a + (1 - decay).astype(a.dtype) * (p - a), average, params)


def average(checkpoints, abstract=None):
    """The mean of the parameters of several checkpoints (Vaswani 2017 §6.1: the last 5 or 20).

    `checkpoints` are paths of step directories; `abstract` as in `restore_params`. Sums are
    taken in fp64 on the host, one checkpoint at a time; leaves keep their dtype.

    Raises:
      UserError: no path, a damaged checkpoint, or parameters of different shapes.
    """
    from transformer.training.restore import restore_params  # slow to import, and not for `moving`

    first, *rest = [Path(c) for c in checkpoints] or [None]
    if first is None:
        raise UserError("average: name at least one checkpoint")
    params = restore_params(first, abstract)
    total = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    for path in rest:
        more = restore_params(path, params)
        total = jax.tree.map(lambda t, x: t + np.asarray(x, np.float64), total, more)

    def mean(whole, leaf):
        value = np.asarray(whole / (1 + len(rest)), leaf.dtype)
        return value if isinstance(leaf, np.ndarray) else jax.device_put(value, leaf.sharding)

    return jax.tree.map(mean, total, params)
