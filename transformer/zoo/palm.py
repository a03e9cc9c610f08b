"""PaLM (Chowdhery 2022, "PaLM: Scaling Language Modeling with Pathways")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.initial import FanIn, Normal
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import ParallelNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Chowdhery 2022, Table 1"
OBJECTIVES = ("next_token",)
INTEROP = ()
ALONE = "no family there has its parallel layers with one key-value head and one norm"
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, head_dim=16),
    "8b": dict(width=4096, depth=32, heads=16),
    "62b": dict(width=8192, depth=64, heads=32),
    "540b": dict(width=18432, depth=118, heads=48),
}
# The paper's 8.63, 62.50 and 540.35 billion leave out the scales of the norms.
COUNTS = {"8b": 8_632_012_800, "62b": 62_495_662_080, "540b": 540_356_474_880}


def palm(size: str | None = None, *, width=4096, depth=32, heads=16, vocab=256_000,
         head_dim=256) -> Decoder:
    """PaLM: both sublayers read one norm, one key-value head, gated SiLU, no biases, tied table.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth, heads, vocab: Table 1. head_dim: §2.
    """
    if size is not None:
        return palm(**SIZES[size])
    attention = Attention(heads=heads, kv_heads=1, head_dim=head_dim, reach=Causal(),
                          rotary=Rotary(), init=FanIn())
    feedforward = FeedForward(width=4 * width, activation="silu", gated=True, init=FanIn())
    norm = LayerNorm(eps=1e-6, bias=False)
    block = Block(residual=ParallelNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width, init=Normal(std=1.0)),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Tied(scale=width**-0.5)),),  # §5
    )
