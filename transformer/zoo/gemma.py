"""Gemma 1 (Gemma Team 2024)."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.model import Decoder
from transformer.nn.norm import RMSNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Gemma Team 2024, Table 1"
OBJECTIVES = ("next_token",)
INTEROP = ("gemma",)
RECIPE = False
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, kv_heads=1, head_dim=24, hidden=96, vocab=256),
    "2b": dict(width=2048, depth=18, heads=8, kv_heads=1, hidden=16384),
    "7b": dict(width=3072, depth=28, heads=16, kv_heads=16, hidden=24576),
}
COUNTS = {"2b": 2_506_172_416, "7b": 8_537_680_896}


def gemma(size: str | None = None, *, width=2048, depth=18, heads=8, kv_heads=1, head_dim=256,
          hidden=16384, vocab=256_000, base=10_000.0, eps=1e-6) -> Decoder:
    """Gemma: gated tanh GELU, token vectors times sqrt(D), norms whose scale counts from 1.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth, heads, kv_heads, head_dim, hidden (feed-forward width), vocab: Table 1.
      base: of the rotary periods. eps: of the norms.
    """
    if size is not None:
        return gemma(**SIZES[size])
    norm = RMSNorm(eps=eps, offset=1.0)
    attention = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, reach=Causal(),
                          rotary=Rotary(base=base))
    feedforward = FeedForward(width=hidden, activation="gelu_tanh", gated=True)
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width, scale=width**0.5),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Tied()),),
    )
