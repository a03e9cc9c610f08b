"""Sinusoidal positions (Vaswani 2017 §3.5): sine and cosine interleaved as in the paper, or in
halves as in most code."""

import jax.numpy as jnp


def sinusoid(i_BT, width: int, interleaved: bool = True):
    """PE(i, 2k) = sin(i / 10000^(2k/D)), PE(i, 2k+1) = cos(same).

    Args:
      i_BT: positions [B, T].
      width: D, even.
      interleaved: if not, the dimensions 2k come first, then the dimensions 2k+1.

    Returns:
      float32 [B, T, D].
    """
    rate_K = 10_000.0 ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
    angle_BTK = i_BT[..., None].astype(jnp.float32) * rate_K[None, None]
    pair = jnp.stack([jnp.sin(angle_BTK), jnp.cos(angle_BTK)], -1 if interleaved else -2)
    return pair.reshape(*i_BT.shape, width)
