"""T5 (Raffel 2020, "Exploring the Limits of Transfer Learning"), 1.0 and 1.1."""

from __future__ import annotations

from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.bias import RelativeBias
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied, Untied
from transformer.nn.initial import FanIn, Normal
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import RMSNorm
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Raffel 2020, §2.1 and §3.7; Roberts 2020 for 1.1"
OBJECTIVES = ("span_corruption", "sequence_to_sequence", "prefix_lm")
INTEROP = ("t5",)
GATED = dict(gated=True)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, head_dim=16, hidden=128, vocab=512),
    "small": dict(width=512, depth=6, heads=8, hidden=2048),
    "base": dict(width=768, depth=12, heads=12, hidden=3072),
    "large": dict(width=1024, depth=24, heads=16, hidden=4096),
    "3b": dict(width=1024, depth=24, heads=32, head_dim=128, hidden=16384),
    "11b": dict(width=1024, depth=24, heads=128, head_dim=128, hidden=65536),
    "1.1-tiny": dict(width=64, depth=2, heads=4, head_dim=16, hidden=96, vocab=512, **GATED),
    "1.1-small": dict(width=512, depth=8, heads=6, hidden=1024, **GATED),
    "1.1-base": dict(width=768, depth=12, heads=12, hidden=2048, **GATED),
    "1.1-large": dict(width=1024, depth=24, heads=16, hidden=2816, **GATED),
    "1.1-xl": dict(width=2048, depth=24, heads=32, hidden=5120, **GATED),
    "1.1-xxl": dict(width=4096, depth=24, heads=64, hidden=10240, **GATED),
}
COUNTS = {
    "small": 60_506_624, "base": 222_903_552, "large": 737_668_096, "3b": 2_851_598_336,
    "11b": 11_307_321_344, "1.1-small": 76_961_152, "1.1-base": 247_577_856,
    "1.1-large": 783_150_080, "1.1-xl": 2_849_757_184, "1.1-xxl": 11_135_332_352,
}


def t5(size: str | None = None, *, width=512, depth=6, heads=8, head_dim=64, hidden=2048,
       vocab=32128, gated=False, dropout=None) -> EncoderDecoder:
    """T5: pre-norm by RMS, one relative bias a stack, unscaled attention, no biases.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth (of each stack), heads, head_dim, hidden (feed-forward width), vocab: §3.7.
      gated: 1.1: a gated feed-forward by the tanh GELU, and an output matrix of its own. 1.0 has
        ReLU, and its output is the token table, scaled by D^-1/2.
      dropout: rate at the embedding, the probabilities, all outputs, inside the feed-forward and
        after each stack; 0.1 by default, 0 in 1.1, which pretrained without.
    """
    if size is not None:
        return t5(**SIZES[size], dropout=dropout)
    rate = dropout if dropout is not None else 0.0 if gated else 0.1
    # the scale of the scores sits in the query's initialisation
    look = dict(heads=heads, head_dim=head_dim, scale=1.0, dropout=rate, probability_dropout=rate,
                init=FanIn(), query_init=Normal(std=(width * head_dim) ** -0.5))
    feedforward = ("feedforward", FeedForward(
        width=hidden, activation="gelu_tanh" if gated else "relu", gated=gated, dropout=rate,
        hidden_dropout=rate, init=FanIn()))
    norm = RMSNorm(eps=1e-6)

    def stack(causal, *sublayers):
        bias = RelativeBias(heads=heads, causal=causal, init=Normal(std=width**-0.5))
        block = Block(residual=PreNorm(norm=norm), sublayers=(*sublayers, feedforward))
        return Stack(segments=(Segment(pattern=(block,), repeats=depth),), bias=bias,
                     final_norm=norm, dropout=rate)

    return EncoderDecoder(
        embedding=Embedding(vocab=vocab, width=width, dropout=rate, init=Normal(std=1.0)),
        encoder=stack(False, ("attention", Attention(**look))),
        decoder=stack(True, ("attention", Attention(**look, reach=Causal())),
                      ("cross", CrossAttention(**look))),
        heads=(("logits", Untied(vocab=vocab, init=FanIn()) if gated
                else Tied(scale=width**-0.5)),),
    )
