"""Prompts of unequal length as one batch of a shape that other prompts have too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transformer.error import UserError
from transformer.ops.placement import filled


def batch_of(prompts: Sequence[Sequence[int]], prefix: str = "") -> dict:
    """{prefix}tokens and {prefix}segments [B, T] of rows of token ids, padded on the right."""
    width = max(map(len, prompts))
    tokens_BT = np.zeros((len(prompts), width), np.int32)
    segments_BT = np.zeros_like(tokens_BT)
    for n, row in enumerate(prompts):
        tokens_BT[n, :len(row)], segments_BT[n, :len(row)] = row, 1
    return {f"{prefix}tokens": tokens_BT, f"{prefix}segments": segments_BT}


def fit(model, batch: dict, tokens: int) -> tuple[dict, int]:
    """The prompts as compiled programs want them, and the cache's capacity in tokens per row.

    Both are rounded up to one of a few sizes, so that prompts of similar length share a program.
    Rows of padding are added up to what the mesh in force divides.

    Args:
      model: its spec says how many positions there are. batch: see `generate`. tokens: new ones.

    Returns:
      {tokens, segments, index} and the same with `source_`, int32 arrays of the host.

    Raises:
      UserError: fewer than one new token, or the model has too few positions.
    """
    limit = model.spec.embedding.position.limit()
    prompt_BT, segments_BT = _aligned(batch, "")
    capacity = _round(require_room(prompt_BT.shape[1], tokens, limit), limit)
    width = min(_round(prompt_BT.shape[1], limit), capacity)
    index_B = np.asarray(batch.get("index", np.arange(len(prompt_BT))), np.int32)
    fitted = {"tokens": _wide(prompt_BT, width), "segments": _wide(segments_BT, width),
              "index": np.pad(index_B, (0, filled(len(index_B)) - len(index_B)))}
    if "source_tokens" in batch:
        source_BS, segments_BS = _aligned(batch, "source_")
        own = getattr(model.spec, "source_embedding", None) or model.spec.embedding
        width = _round(source_BS.shape[1], own.position.limit())
        fitted |= {"source_tokens": _wide(source_BS, width),
                   "source_segments": _wide(segments_BS, width)}
    return fitted, capacity


def _aligned(batch, prefix):
    """Tokens and segments (0 or 1) with padding on the right only, and no more than is needed."""
    tokens_BT = np.asarray(batch[prefix + "tokens"], np.int32)
    segments_BT = np.asarray(batch.get(prefix + "segments", np.ones_like(tokens_BT)) > 0, np.int32)
    order_BT = np.argsort(-segments_BT, 1, kind="stable")[:, :max(1, segments_BT.sum(1).max())]
    return (np.take_along_axis(tokens_BT, order_BT, 1),
            np.take_along_axis(segments_BT, order_BT, 1))


def require_room(prompt: int, tokens: int, limit: int | None) -> int:
    """How many positions both need together. UserError if `limit`, the model's, is less."""
    if tokens < 1:
        raise UserError(f"{tokens} new tokens were asked for; ask for at least 1")
    if limit is not None and prompt >= limit:
        raise UserError(f"the prompt is longer than the context: it has {prompt} tokens, the model "
                        f"{limit} positions; shorten the prompt to at most {limit - 1}")
    if limit is not None and prompt + tokens > limit:
        raise UserError(f"{prompt} tokens of prompt and {tokens} new ones are longer than the "
                        f"context of {limit} positions; ask for at most {limit - prompt} new ones")
    return prompt + tokens


def _round(size: int, limit: int | None) -> int:
    """At least `size` and at most a quarter (below 64: 15) more: 16, 32, ... 128, 160, ... 256."""
    step = max(128, 1 << (size - 1).bit_length()) // 8
    rounded = -(-size // step) * step
    return rounded if limit is None else max(size, min(rounded, limit))


def _wide(x_BT, width: int):
    return np.pad(x_BT, ((0, filled(len(x_BT)) - len(x_BT)), (0, width - x_BT.shape[1])))
