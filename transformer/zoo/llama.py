"""LLaMA (Touvron 2023, "LLaMA: Open and Efficient Foundation Language Models")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Untied
from transformer.nn.model import Decoder
from transformer.nn.norm import RMSNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Touvron 2023, Table 2"
OBJECTIVES = ("next_token",)
INTEROP = ("llama",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, kv_heads=2),
    "7b": dict(width=4096, depth=32, heads=32),
    "13b": dict(width=5120, depth=40, heads=40),
    "33b": dict(width=6656, depth=60, heads=52),
    "65b": dict(width=8192, depth=80, heads=64),
}
COUNTS = {"7b": 6_738_415_616, "13b": 13_015_864_320, "33b": 32_528_943_616, "65b": 65_285_660_672}


def feedforward_width(width: int, multiple: int = 256) -> int:
    """2/3 of 4 D, rounded up to a multiple of 256 (§2.2; the released code)."""
    return multiple * -(-int(8 * width / 3) // multiple)


def llama(size: str | None = None, *, width=4096, depth=32, heads=32, kv_heads=None, vocab=32000,
          hidden=None, base=10_000.0, eps=1e-6) -> Decoder:
    """LLaMA: RMSNorm first, rotary positions, gated SiLU, no biases, untied output.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth, heads, vocab: Table 2. kv_heads: grouped heads of its successors.
      hidden: feed-forward width, `feedforward_width(width)` by default.
      base: of the rotary periods. eps: of the norms.
    """
    if size is not None:
        return llama(**SIZES[size])
    attention = Attention(heads=heads, kv_heads=kv_heads, reach=Causal(), rotary=Rotary(base=base))
    feedforward = FeedForward(width=hidden or feedforward_width(width), activation="silu",
                              gated=True)
    norm = RMSNorm(eps=eps)
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Untied(vocab=vocab)),),
    )
