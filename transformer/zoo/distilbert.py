"""DistilBERT (Sanh 2019, "DistilBERT, a distilled version of BERT")."""

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

PAPER = "Sanh 2019, §3"
OBJECTIVES = ("masked_lm", "classify", "regress", "choose", "tag", "extract")
INTEROP = ("distilbert",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, length=64),
    "base": dict(width=768, depth=6, heads=12),
}
COUNTS = {"base": 66_985_530}  # with the masked head; the trunk alone is 66,362,880

NORM = LayerNorm(eps=1e-12)
INIT = Normal(std=0.02)
MASKED = ("mlm", Masked(activation="gelu", norm=NORM, init=INIT))


def distilbert(size: str | None = None, *, width=768, depth=6, heads=12, vocab=30522, length=512,
               hidden=None, dropout=0.1, outputs: tuple = (MASKED,), pooler=False) -> Encoder:
    """DistilBERT: BERT of half the depth without token types, exact GELU.

    Args:
      size: a key of SIZES; width, depth, heads, vocab and length are then ignored.
      width, depth, heads: §3. vocab: BERT's. length: positions, in tokens.
      hidden: feed-forward width, 4 * width by default.
      dropout: rate at the embedding, the attention probabilities and both outputs.
      outputs: the heads. pooler: whether relu(dense) precedes those that read one vector a row.
    """
    if size is not None:
        return distilbert(**SIZES[size], dropout=dropout, outputs=outputs, pooler=pooler)
    attention = Attention(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout,
                          init=INIT)
    feedforward = FeedForward(width=hidden or 4 * width, activation="gelu", bias=True,
                              dropout=dropout, init=INIT)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, position=Learned(length=length), norm=NORM,
                            dropout=dropout, init=INIT),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        pooler=Pooler(activation="relu", init=INIT) if pooler else NoPooler(),
        heads=outputs,
    )
