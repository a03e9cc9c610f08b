"""RoBERTa (Liu 2019, "RoBERTa: A Robustly Optimized BERT Pretraining Approach")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, NoPooler, Pooler
from transformer.nn.initial import Normal
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

PAPER = "Liu 2019, Table 9"
OBJECTIVES = ("masked_lm", "classify", "regress", "choose", "tag", "extract")
INTEROP = ("roberta",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, length=64),
    "base": dict(width=768, depth=12, heads=12),
    "large": dict(width=1024, depth=24, heads=16),
}
COUNTS = {"base": 124_697_433, "large": 355_412_057}  # with the masked head

NORM = LayerNorm(eps=1e-5)
INIT = Normal(std=0.02)
MASKED = ("mlm", Masked(activation="gelu", norm=NORM, init=INIT))


def roberta(size: str | None = None, *, width=768, depth=12, heads=12, vocab=50265, length=512,
            hidden=None, offset=2, types=1, dropout=0.1, outputs: tuple = (MASKED,),
            pooler=False) -> Encoder:
    """RoBERTa: BERT's shape with byte-level pieces, one token type, exact GELU, no sentence task.

    Args:
      size: a key of SIZES; width, depth, heads, vocab and length are then ignored.
      width, depth, heads: Table 9. vocab: GPT-2's and specials. length: positions, in tokens.
      hidden: feed-forward width, 4 * width by default.
      offset: unused rows of the position table; its code counts from the padding id + 1.
      dropout: rate at the embedding, the attention probabilities and both outputs.
      outputs: the heads. pooler: whether tanh(dense) precedes those that read one vector a row.
    """
    if size is not None:
        return roberta(**SIZES[size], dropout=dropout, outputs=outputs, pooler=pooler)
    attention = Attention(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout,
                          init=INIT)
    feedforward = FeedForward(width=hidden or 4 * width, activation="gelu", bias=True,
                              dropout=dropout, init=INIT)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, types=types,
                            position=Learned(length=length, offset=offset), norm=NORM,
                            dropout=dropout, init=INIT),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        pooler=Pooler(init=INIT) if pooler else NoPooler(),
        heads=outputs,
    )
