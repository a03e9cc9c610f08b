"""Qwen3 (Yang 2025): LLaMA whose queries and keys are normed."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied, Untied
from transformer.nn.model import Decoder
from transformer.nn.norm import RMSNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Yang 2025, Table 1"
OBJECTIVES = ("next_token",)
INTEROP = ("qwen3",)
RECIPE = False
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, kv_heads=2, head_dim=24, hidden=96, vocab=256),
    "0.6b": dict(width=1024, depth=28, heads=16, hidden=3072),
    "1.7b": dict(width=2048, depth=28, heads=16, hidden=6144),
    "4b": dict(width=2560, depth=36, heads=32, hidden=9728),
    "8b": dict(width=4096, depth=36, heads=32, hidden=12288, tied=False),
    "14b": dict(width=5120, depth=40, heads=40, hidden=17408, tied=False),
    "32b": dict(width=5120, depth=64, heads=64, hidden=25600, tied=False),
}
COUNTS = {"0.6b": 596_049_920, "1.7b": 1_720_574_976, "4b": 4_022_468_096, "8b": 8_190_735_360,
          "14b": 14_768_307_200, "32b": 32_762_123_264}


def qwen3(size: str | None = None, *, width=1024, depth=28, heads=16, kv_heads=8, head_dim=128,
          hidden=3072, vocab=151_936, base=1_000_000.0, eps=1e-6, tied=True) -> Decoder:
    """Qwen3, dense.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth, heads, kv_heads, head_dim, hidden (feed-forward width), vocab, tied (output and
        token table): Table 1 and the released configurations.
      base: of the rotary periods. eps: of the norms.
    """
    if size is not None:
        return qwen3(**SIZES[size])
    norm = RMSNorm(eps=eps)
    attention = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, reach=Causal(),
                          rotary=Rotary(base=base), qk_norm=norm)
    feedforward = FeedForward(width=hidden, activation="silu", gated=True)
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Tied() if tied else Untied(vocab=vocab)),),
    )
