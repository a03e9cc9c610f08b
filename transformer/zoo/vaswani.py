"""The original Transformer (Vaswani 2017, "Attention Is All You Need")."""

from __future__ import annotations

from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.initial import Glorot, Normal
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Sinusoidal
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Vaswani 2017, Table 3"
OBJECTIVES = ("sequence_to_sequence",)
INTEROP = ()
ALONE = "Marian, the nearest family there, has biases in its attention"
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, hidden=128, vocab=256),
    "base": dict(width=512, depth=6, heads=8, hidden=2048),
    "big": dict(width=1024, depth=6, heads=16, hidden=4096, dropout=0.3),
}
COUNTS = {"base": 63_045_632, "big": 214_171_648}  # V 37000; the paper says 65M and 213M


def vaswani(size: str | None = None, *, width=512, depth=6, heads=8, hidden=2048, vocab=37000,
            dropout=0.1) -> EncoderDecoder:
    """The original encoder-decoder: post-norm, sinusoidal positions, ReLU, one table for all.

    The decoder's first input is the bos token; the authors' code fed a zero vector.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth (of each stack), heads, hidden (feed-forward width), vocab: Table 3.
      dropout: rate at the embedding sum and each sublayer's output (§5.4).
    """
    if size is not None:
        return vaswani(**SIZES[size])
    look = dict(heads=heads, dropout=dropout, init=Glorot())  # the authors' code has no biases here
    feedforward = ("feedforward", FeedForward(width=hidden, activation="relu", bias=True,
                                              dropout=dropout, init=Glorot()))
    rule = PostNorm(norm=LayerNorm(eps=1e-6))
    encoder = Block(residual=rule, sublayers=(("attention", Attention(**look)), feedforward))
    decoder = Block(residual=rule, sublayers=(
        ("attention", Attention(**look, reach=Causal())), ("cross", CrossAttention(**look)),
        feedforward))
    stack = lambda block: Stack(segments=(Segment(pattern=(block,), repeats=depth),))
    return EncoderDecoder(
        embedding=Embedding(vocab=vocab, width=width, position=Sinusoidal(), scale=width**0.5,
                            dropout=dropout, init=Normal(std=width**-0.5)),
        encoder=stack(encoder), decoder=stack(decoder), heads=(("logits", Tied()),),
    )
