"""GPT-2 (Radford 2019, "Language Models are Unsupervised Multitask Learners")."""

from __future__ import annotations

import math

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.initial import Normal
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Radford 2019, Table 2"
OBJECTIVES = ("next_token",)
INTEROP = ("gpt2",)
# Width, depth and heads of Table 2. Its parameter counts are wrong; these are exact (the released
# checkpoints have them).
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, length=64),
    "small": dict(width=768, depth=12, heads=12),
    "medium": dict(width=1024, depth=24, heads=16),
    "large": dict(width=1280, depth=36, heads=20),
    "xl": dict(width=1600, depth=48, heads=25),
}
COUNTS = {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080, "xl": 1_557_611_200}


def gpt2(size: str | None = None, *, width=768, depth=12, heads=12, vocab=50257, length=1024,
         dropout=0.0, bias=True) -> Decoder:
    """GPT-2 of a published size, or of any other.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth, heads, vocab: as in Table 2. length: positions, in tokens.
      dropout: rate at the embedding, the attention probabilities and both outputs; the released
        code has none.
      bias: of the linear maps and norms.
    """
    if size is not None:
        return gpt2(**SIZES[size], dropout=dropout)
    # §2.3: weights of residual layers begin scaled by 1/sqrt(their number), two a block
    out_init = Normal(std=0.02 / math.sqrt(2 * depth))
    attention = Attention(heads=heads, bias=bias, reach=Causal(), dropout=dropout,
                          probability_dropout=dropout, out_init=out_init)
    feedforward = FeedForward(width=4 * width, activation="gelu_tanh", bias=bias, dropout=dropout,
                              out_init=out_init)
    norm = LayerNorm(eps=1e-5, bias=bias)
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width, position=Learned(length=length),
                            position_init=Normal(std=0.01), dropout=dropout),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Tied()),),
    )
