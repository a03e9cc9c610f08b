"""Attention by cuDNN's fused kernel on NVIDIA GPUs (Dao 2022): scores never leave the chip."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from transformer.ops.case import Case
from transformer.ops.reach import Both, Causal, Everywhere, Reach, Window

LARGEST = 128  # head dimension that every supported generation of GPUs takes


def refusal(case: Case) -> str | None:
    """Why this backend does not take the case; None where it does."""
    if case.platform != "gpu":
        return f"cuDNN runs on NVIDIA GPUs from Ampere on, not on {case.platform}"
    if case.dtype not in ("bfloat16", "float16"):
        return f"cuDNN takes bfloat16, not {case.dtype}"
    if case.head_dim % 8 or case.head_dim > LARGEST:
        return (f"cuDNN takes head dimensions that are a multiple of 8 up to {LARGEST}, not "
                f"{case.head_dim}")
    if case.dropout:
        return "dropout of probabilities is drawn per example, which cuDNN cannot"
    if case.cached:
        return "cached keys are few queries over many slots, which need no fused kernel"
    if masked(case) and case.bias:
        return "a mask and a trained bias together would be one [B, H, T, S] array for cuDNN"
    if (case.bias or masked(case)) and (case.queries % 2 or case.keys % 2):
        return f"cuDNN takes masks of even lengths, not {case.queries} by {case.keys}"
    return None


def masked(case: Case) -> bool:
    """Whether the kernel must be given a mask, or knows by itself what is seen."""
    return case.segments or built_in(case.reach, case.parted) is None


def built_in(reach: Reach, parted: bool) -> dict | None:
    """What the kernel calls a reach; None if it has no name for it. It counts slots."""
    match reach:
        case Everywhere():
            return {}
        case Causal() if not parted:
            return {"is_causal": True}
        case Both(one=Causal(), other=Window(width=w)) | Both(one=Window(width=w), other=Causal()):
            return None if parted else {"is_causal": True, "local_window_size": (w, 0)}
    return None


def attend(case: Case, q_BTHK, k_BSGK, v_BSGK, sight, scale: float, bias_BHTS=None,
           implementation: str = "cudnn"):
    """See `ops.attention.attend`. implementation: "xla" computes the same call anywhere."""
    T, S = q_BTHK.shape[1], k_BSGK.shape[1]
    how, mask = built_in(case.reach, case.parted) or {}, None
    if masked(case):  # with the names besides: they let the kernel skip what nobody sees
        see_BTS = sight.see()
        mask = jnp.broadcast_to(see_BTS, (see_BTS.shape[0], T, S))[:, None]
    if bias_BHTS is not None:
        bias_BHTS = bias_BHTS.astype(q_BTHK.dtype)
    return jax.nn.dot_product_attention(q_BTHK, k_BSGK, v_BSGK, bias=bias_BHTS, mask=mask,
                                        scale=scale, implementation=implementation, **how)
