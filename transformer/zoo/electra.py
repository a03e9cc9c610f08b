"""ELECTRA (Clark 2020, "Pre-training Text Encoders as Discriminators Rather Than Generators")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, Replaced
from transformer.nn.initial import Glorot, Truncated
from transformer.nn.model import Encoder, Pair
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

PAPER = "Clark 2020, Table 6"
OBJECTIVES = ("replaced_token", "masked_lm", "classify", "regress", "choose", "tag", "extract")
INTEROP = ("electra",)
# `small` is that of the paper; the released small model had a generator of full width.
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, rank=32, vocab=256, length=64, generator=0.5),
    "small": dict(width=256, depth=12, heads=4, rank=128, generator=1 / 4),
    "base": dict(width=768, depth=12, heads=12, rank=768, generator=1 / 3),
    "large": dict(width=1024, depth=24, heads=16, rank=1024, generator=1 / 4),
}
# Discriminator with its head, and what the generator adds, whose tables are lent.
COUNTS = {"small": 13_549_057 + 647_162, "base": 109_483_009 + 9_903_418,
          "large": 335_142_913 + 19_512_378}

NORM = LayerNorm(eps=1e-12)
INIT = Truncated(std=0.02)
MASKED = ("mlm", Masked(activation="gelu", norm=NORM, init=INIT))
REPLACED = ("replaced", Replaced(activation="gelu", init=INIT))


def electra(size: str | None = None, *, width=256, depth=12, heads=4, rank=128, vocab=30522,
            length=512, generator=1 / 4, dropout=0.1) -> Pair:
    """ELECTRA as it pretrains: a generator on lent tables and a discriminator that is kept.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth, heads, rank: of the discriminator, Table 6. vocab: BERT's, uncased.
      length: positions, in tokens.
      generator: its width, heads and feed-forward width over the discriminator's; depth is equal.
      dropout: rate at the embedding, the attention probabilities and both outputs.
    """
    if size is not None:
        return electra(**SIZES[size], dropout=dropout)
    tables = dict(depth=depth, rank=rank, vocab=vocab, length=length, dropout=dropout)
    return Pair(
        generator=encoder(width=round(width * generator), heads=max(1, round(heads * generator)),
                          outputs=(MASKED,), **tables),
        discriminator=encoder(width=width, heads=heads, outputs=(REPLACED,), **tables))


def encoder(*, width=256, depth=12, heads=4, rank=128, vocab=30522, length=512, hidden=None,
            dropout=0.1, outputs: tuple = (REPLACED,)) -> Encoder:
    """One of the two, alone: post-norm, exact GELU, no pooler.

    Args:
      rank: width of the tables; a map leads to `width` where they differ (§3.2).
      hidden: feed-forward width, 4 * width by default. Others as `electra`.
      outputs: the heads, ((name, spec), ...).
    """
    attention = Attention(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout,
                          init=INIT)
    feedforward = FeedForward(width=hidden or 4 * width, activation="gelu", bias=True,
                              dropout=dropout, init=INIT)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, rank=None if rank == width else rank,
                            types=2, position=Learned(length=length), norm=NORM, dropout=dropout,
                            init=INIT, project_init=Glorot()),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        heads=outputs,
    )
