"""Rotary position embedding (Su 2021 §3.2), in the layout that rotates halves."""

import jax.numpy as jnp


def rates(width: int, base: float):
    """base^(-2k/K) for k = 0 .. K/2 - 1: radians a token. -> float32 [K/2]"""
    half = width // 2
    return base ** (-jnp.arange(half, dtype=jnp.float32) / half)


def rotate(x_BTHK, i_BT, rate_K):
    """Rotates the pair (k, k + K/2) of each head by the angle i * rate[k].

    Args:
      x_BTHK: queries or keys [B, T, H, K], K even.
      i_BT: their positions [B, T] or [1, T].
      rate_K: radians a token [K/2], see `rates`.

    Returns:
      The rotated [B, T, H, K], in the type of x_BTHK; the angles are float32.
    """
    angle_BTHK = i_BT[..., None, None].astype(jnp.float32) * rate_K[None, None, None]
    cos, sin = jnp.cos(angle_BTHK), jnp.sin(angle_BTHK)
    a, b = jnp.split(x_BTHK.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x_BTHK.dtype)
