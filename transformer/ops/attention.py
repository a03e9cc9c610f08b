"""Scaled dot-product attention (Vaswani 2017 §3.2.1), grouped where key-value heads are fewer."""

import jax
import jax.numpy as jnp

from transformer.ops.dropout import dropout
from transformer.ops.placement import constrain


def attend(q_BTHK, k_BSGK, v_BSGK, see_BTS, scale: float, keys_B=None, rate: float = 0.0,
           bias_BHTS=None):
    """softmax(scale q k^T + bias over the keys a query may see) v.

    Args:
      q_BTHK: queries [B, T, H, K].
      k_BSGK, v_BSGK: keys and values [B, S, G, K] with H a multiple of G (Ainslie 2023 §2.2).
      see_BTS: booleans [B or 1, T, S].
      scale: what multiplies the scores.
      keys_B, rate: dropout of the probabilities, see `ops.dropout`.
      bias_BHTS: added to the scores [B or 1, H, T, S], or None.

    Returns:
      [B, T, H, K]. Scores and softmax are float32. A query that sees nothing averages all values.
    """
    B, T, H, K = q_BTHK.shape
    S, G = k_BSGK.shape[1:3]
    if G < H:
        q_BTGMK = q_BTHK.reshape(B, T, G, H // G, K)
        score_BGMTS = jnp.einsum("btgmk,bsgk->bgmts", q_BTGMK, k_BSGK,
                                 preferred_element_type=jnp.float32)
        score_BHTS = score_BGMTS.reshape(B, H, T, S)
    else:
        score_BHTS = jnp.einsum("bthk,bshk->bhts", q_BTHK, k_BSGK,
                                preferred_element_type=jnp.float32)
    score_BHTS = score_BHTS * scale
    if bias_BHTS is not None:
        score_BHTS = score_BHTS + bias_BHTS
    score_BHTS = jnp.where(see_BTS[:, None], score_BHTS, jnp.finfo(jnp.float32).min)
    probability_BHTS = jax.nn.softmax(constrain(score_BHTS, "BHTS")).astype(v_BSGK.dtype)
    probability_BHTS = dropout(probability_BHTS, keys_B, rate)
    if G < H:
        probability_BGMTS = probability_BHTS.reshape(B, G, H // G, T, S)
        out_BTGMK = jnp.einsum("bgmts,bsgk->btgmk", probability_BGMTS, v_BSGK)
        return out_BTGMK.reshape(B, T, H, K)
    return jnp.einsum("bhts,bshk->bthk", probability_BHTS, v_BSGK)
