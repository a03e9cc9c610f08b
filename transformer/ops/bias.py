"""Relative position buckets (Raffel 2020 §2.1): exact near by, logarithmic farther away."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np


def bucket(i_BT, j_BS, buckets: int, distance: int, causal: bool):
    """The bucket of every pair of a query and a key. -> int32 [B, T, S]

    Args:
      i_BT, j_BS: positions of queries [B or 1, T] and keys [B or 1, S].
      buckets: how many. Where not causal, half of them are for keys after the query.
      distance: from here on all share the last bucket.
      causal: keys after the query count as distance 0.
    """
    away_BTS = j_BS[:, None] - i_BT[:, :, None]
    side = buckets if causal else buckets // 2
    length = jnp.maximum(-away_BTS, 0) if causal else jnp.abs(away_BTS)
    near = jnp.asarray(_by_distance(side, distance))[jnp.minimum(length, distance)]
    return near if causal else near + side * (away_BTS > 0)


def _by_distance(buckets: int, distance: int) -> np.ndarray:
    """The bucket of each distance 0 .. `distance`: half of them exact, the rest log-spaced.

    float32, because the authors' code rounds there: distance 64 of 128 depends on it.
    """
    exact = buckets // 2
    far = np.maximum(np.arange(distance + 1, dtype=np.float32), 1) / np.float32(exact)
    steps = np.log(far) / np.float32(math.log(distance / exact)) * np.float32(buckets - exact)
    logarithmic = np.minimum(exact + steps.astype(np.int32), buckets - 1)
    return np.where(np.arange(distance + 1) < exact, np.arange(distance + 1), logarithmic)
