"""GPT-3 (Brown 2020, "Language Models are Few-Shot Learners")."""

from __future__ import annotations

import math

from transformer.error import UserError
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
from transformer.ops.reach import Causal, Window

PAPER = "Brown 2020, Table 2.1"
OBJECTIVES = ("next_token",)
INTEROP = ()
ALONE = "no family there has its banded layers"
# Table 2.1, but for two rows that do not multiply up: 1.3B lists 24 heads of 128 at width 2048, and
# 13B lists width 5140 with 40 heads of 128.
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, length=64, band=16),
    "125m": dict(width=768, depth=12, heads=12),
    "350m": dict(width=1024, depth=24, heads=16),
    "760m": dict(width=1536, depth=24, heads=16),
    "1.3b": dict(width=2048, depth=24, heads=16),
    "2.7b": dict(width=2560, depth=32, heads=32),
    "6.7b": dict(width=4096, depth=32, heads=32),
    "13b": dict(width=5120, depth=40, heads=40),
    "175b": dict(width=12288, depth=96, heads=96),
}
COUNTS = {"125m": 125_226_240, "350m": 355_871_744, "760m": 760_300_032, "1.3b": 1_315_723_264,
          "2.7b": 2_651_553_280, "6.7b": 6_658_404_352, "13b": 12_853_386_240,
          "175b": 174_604_259_328}


def gpt3(size: str | None = None, *, width=768, depth=12, heads=12, vocab=50257, length=2048,
         band=256, dropout=0.0) -> Decoder:
    """GPT-3: GPT-2 whose layers alternate between dense and locally banded attention (§2.1).

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth (even), heads: Table 2.1. vocab: GPT-2's. length: positions, in tokens.
      band: how far a query of a banded layer looks back, in tokens; the paper does not say.
      dropout: rate at the embedding, the attention probabilities and both outputs.
    """
    if size is not None:
        return gpt3(**SIZES[size], dropout=dropout)
    if depth % 2:
        raise UserError(f"gpt3: depth is {depth}, but dense and banded layers alternate; use an "
                        "even depth")
    out_init = Normal(std=0.02 / math.sqrt(2 * depth))
    feedforward = FeedForward(width=4 * width, activation="gelu_tanh", bias=True, dropout=dropout,
                              out_init=out_init)
    norm = LayerNorm(eps=1e-5)

    def block(reach):
        attention = Attention(heads=heads, bias=True, reach=reach, dropout=dropout,
                              probability_dropout=dropout, out_init=out_init)
        return Block(residual=PreNorm(norm=norm),
                     sublayers=(("attention", attention), ("feedforward", feedforward)))

    pattern = (block(Causal()), block(Causal() & Window(width=band)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width, position=Learned(length=length),
                            position_init=Normal(std=0.01), dropout=dropout),
        stack=Stack(segments=(Segment(pattern=pattern, repeats=depth // 2),), final_norm=norm),
        heads=(("logits", Tied()),),
    )
