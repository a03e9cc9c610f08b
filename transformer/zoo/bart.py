"""BART (Lewis 2020, "BART: Denoising Sequence-to-Sequence Pre-training")."""

from __future__ import annotations

from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.initial import Normal
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Lewis 2020, §2.1 and §5"
OBJECTIVES = ("denoising", "sequence_to_sequence")
INTEROP = ("bart",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, hidden=128, vocab=256, length=64),
    "base": dict(width=768, depth=6, heads=12, hidden=3072),
    "large": dict(width=1024, depth=12, heads=16, hidden=4096),
}
COUNTS = {"base": 139_420_416, "large": 406_291_456}


def bart(size: str | None = None, *, width=768, depth=6, heads=12, hidden=3072, vocab=50265,
         length=1024, offset=2, dropout=0.1, bias=False) -> EncoderDecoder:
    """BART: the original encoder-decoder with GELU, learned positions and normed embeddings.

    Both sides have positions and a norm of their own over one token table.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth (of each stack), heads, hidden (feed-forward width): §2.1. vocab: RoBERTa's.
      length: positions, in tokens. offset: unused rows of the position tables.
      dropout: rate at the embedding, the attention probabilities and all outputs.
      bias: a number a token added to the logits, which released checkpoints carry as zeros.
    """
    if size is not None:
        return bart(**SIZES[size], dropout=dropout)
    norm = LayerNorm(eps=1e-5)
    look = dict(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout)
    feedforward = ("feedforward", FeedForward(width=hidden, activation="gelu", bias=True,
                                              dropout=dropout))

    def stack(*sublayers):
        block = Block(residual=PostNorm(norm=norm), sublayers=(*sublayers, feedforward))
        return Stack(segments=(Segment(pattern=(block,), repeats=depth),))

    embedding = Embedding(vocab=vocab, width=width, position=Learned(length=length, offset=offset),
                          norm=norm, dropout=dropout)
    return EncoderDecoder(
        embedding=embedding, source_embedding=embedding,
        encoder=stack(("attention", Attention(**look))),
        decoder=stack(("attention", Attention(**look, reach=Causal())),
                      ("cross", CrossAttention(**look))),
        heads=(("logits", Tied(bias=bias)),),
    )
