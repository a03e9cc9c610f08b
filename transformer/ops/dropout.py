"""Dropout keyed per example, so that slices, devices and meshes all draw the same masks."""

import jax
import jax.numpy as jnp


def example_keys(key, index_B):
    """One key per example: `key` folded with the example's global number. [B] keys."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index_B)


def fold(keys_B, n):
    """The keys of part number n (a layer, a sublayer, a site) of each example; None stays None."""
    return None if keys_B is None else jax.vmap(jax.random.fold_in, (0, None))(keys_B, n)


def dropout(x, keys_B, rate: float):
    """x with each value zeroed with probability `rate`, the others scaled by 1 / (1 - rate).

    Args:
      x: [B, ...]; keys_B: one key per row, or None in evaluation; rate: in [0, 1).

    Returns:
      An array like x; x itself in evaluation or at rate 0 (Srivastava 2014 §10, inverted).
    """
    if keys_B is None or rate == 0:
        return x
    keep = jax.vmap(lambda k: jax.random.bernoulli(k, 1 - rate, x.shape[1:]))(keys_B)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
