"""Marian (Junczys-Dowmunt 2018) as the OPUS-MT models use it (Tiedemann & Thottingal 2020)."""

from __future__ import annotations

from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Sinusoidal
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.activation import Activation
from transformer.ops.reach import Causal

PAPER = "Tiedemann & Thottingal 2020"
OBJECTIVES = ("sequence_to_sequence",)
INTEROP = ("marian",)
RECIPE = False
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, hidden=128, vocab=256, length=64),
    "opus": dict(width=512, depth=6, heads=8, hidden=2048),
}
COUNTS = {"opus": 73_944_309}  # V 58101, the pair en-de; with the bias of the logits


def marian(size: str | None = None, *, width=512, depth=6, heads=8, hidden=2048, vocab=58101,
           length=512, activation: Activation = "silu", scale=None, dropout=0.1) -> EncoderDecoder:
    """Marian: the original encoder-decoder with biases, SiLU, positions in halves, biased logits.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth (of each stack), heads, hidden (feed-forward width), vocab: the released models.
      length: positions, in tokens. scale: of the token vectors, sqrt(D) by default.
      dropout: rate at the embedding and all outputs.
    """
    if size is not None:
        return marian(**SIZES[size], dropout=dropout)
    look = dict(heads=heads, bias=True, dropout=dropout)
    feedforward = ("feedforward", FeedForward(width=hidden, activation=activation, bias=True,
                                              dropout=dropout))

    def stack(*sublayers):
        block = Block(residual=PostNorm(norm=LayerNorm(eps=1e-5)),
                      sublayers=(*sublayers, feedforward))
        return Stack(segments=(Segment(pattern=(block,), repeats=depth),))

    return EncoderDecoder(
        embedding=Embedding(vocab=vocab, width=width, dropout=dropout,
                            position=Sinusoidal(interleaved=False, length=length),
                            scale=width**0.5 if scale is None else scale),
        encoder=stack(("attention", Attention(**look))),
        decoder=stack(("attention", Attention(**look, reach=Causal())),
                      ("cross", CrossAttention(**look))),
        heads=(("logits", Tied(bias=True)),),
    )
