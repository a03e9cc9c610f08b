"""ALBERT (Lan 2020, "ALBERT: A Lite BERT for Self-supervised Learning")."""

from __future__ import annotations

from transformer.error import UserError
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Classes, Masked, NoPooler, Pooler
from transformer.nn.initial import Truncated
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

PAPER = "Lan 2020, Table 1"
OBJECTIVES = ("sentence_order", "masked_lm", "classify", "regress", "choose", "tag", "extract")
INTEROP = ("albert",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, rank=32, vocab=256, length=64),
    "base": dict(width=768, depth=12, heads=12),
    "large": dict(width=1024, depth=24, heads=16),
    "xlarge": dict(width=2048, depth=24, heads=16),
    "xxlarge": dict(width=4096, depth=12, heads=64),
}
# With the pooler and both pretraining heads. The paper's 235M for xxlarge is not what it released.
COUNTS = {"base": 11_813_810, "large": 17_847_474, "xlarge": 59_021_490, "xxlarge": 223_158_450}

NORM = LayerNorm(eps=1e-12)
INIT = Truncated(std=0.02)
MASKED = ("mlm", Masked(activation="gelu_tanh", norm=NORM, init=INIT))
SENTENCE_ORDER = ("sop", Classes(classes=2, init=INIT))
SUBLAYERS = ("attention", "feedforward")


def albert(size: str | None = None, *, width=768, depth=12, heads=12, rank=128, vocab=30000,
           length=512, hidden=None, groups=1, inner=1, shared=SUBLAYERS, dropout=0.0,
           outputs: tuple = (MASKED, SENTENCE_ORDER), pooler=True) -> Encoder:
    """ALBERT: BERT with tables of a small rank and layers that share their parameters.

    Args:
      size: a key of SIZES; width, depth, heads, rank, vocab and length are then ignored.
      width, depth, heads: Table 1. rank: §3.1. vocab: SentencePiece. length: positions, in tokens.
      hidden: feed-forward width, 4 * width by default.
      groups: how many sets of parameters the layers fall into; inner: layers a group applies in
        turn, each with its own. depth counts applications of groups.
      shared: what repeats share (Table 4: everything, attention alone, ...).
      dropout: rate at the embedding, the attention probabilities and both outputs; 0 since the
        second release (§4.9).
      outputs: the heads, ((name, spec), ...). pooler: as in BERT.
    """
    if size is not None:
        return albert(**SIZES[size], dropout=dropout, outputs=outputs, pooler=pooler)
    if depth % groups:
        raise UserError(f"albert: depth {depth} does not divide into {groups} groups; use a "
                        "divisor")
    attention = Attention(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout,
                          init=INIT)
    feedforward = FeedForward(width=hidden or 4 * width, activation="gelu_tanh", bias=True,
                              dropout=dropout, init=INIT)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    group = Segment(pattern=(block,) * inner, repeats=depth // groups, shared=tuple(shared))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, rank=rank, types=2,
                            position=Learned(length=length), norm=NORM, dropout=dropout, init=INIT),
        stack=Stack(segments=(group,) * groups),
        pooler=Pooler(init=INIT) if pooler else NoPooler(),
        heads=outputs,
    )
