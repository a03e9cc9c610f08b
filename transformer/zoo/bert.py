"""BERT (Devlin 2019, "BERT: Pre-training of Deep Bidirectional Transformers")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.boundary import Boundary
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Classes, Masked, NoPooler, Pooler
from transformer.nn.initial import Truncated
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

PAPER = "Devlin 2019, §3; Turc 2019, Table 1 for the small sizes"
OBJECTIVES = ("next_sentence", "masked_lm", "span_boundary", "classify", "regress", "choose",
              "tag", "extract")
INTEROP = ("bert",)
SIZES = {
    "nano": dict(width=64, depth=2, heads=4, vocab=256, length=64),
    "tiny": dict(width=128, depth=2, heads=2),
    "mini": dict(width=256, depth=4, heads=4),
    "small": dict(width=512, depth=4, heads=8),
    "medium": dict(width=512, depth=8, heads=8),
    "base": dict(width=768, depth=12, heads=12),
    "large": dict(width=1024, depth=24, heads=16),
}
# With the pooler and both pretraining heads. The trunks alone are 108,891,648 and 334,092,288.
COUNTS = {"base": 110_106_428, "large": 336_226_108}

NORM = LayerNorm(eps=1e-12)
INIT = Truncated(std=0.02)
MASKED = ("mlm", Masked(activation="gelu_tanh", norm=NORM, init=INIT))
NEXT_SENTENCE = ("nsp", Classes(classes=2, init=INIT))
BOUNDARY = ("boundary", Boundary(init=INIT))  # SpanBERT's, Joshi 2020 §3.2


def bert(size: str | None = None, *, width=768, depth=12, heads=12, vocab=30522, length=512,
         dropout=0.1, outputs: tuple = (MASKED, NEXT_SENTENCE), pooler=True) -> Encoder:
    """BERT: post-norm, tanh GELU, learned positions, two token types.

    Args:
      size: a key of SIZES; width, depth, heads, vocab and length are then ignored.
      width, depth, heads: §3. vocab: WordPiece, uncased. length: positions, in tokens.
      dropout: rate at the embedding, the attention probabilities and both outputs.
      outputs: the heads, ((name, spec), ...). pooler: whether tanh(dense) precedes the heads that
        read one vector a row.
    """
    if size is not None:
        return bert(**SIZES[size], dropout=dropout, outputs=outputs, pooler=pooler)
    attention = Attention(heads=heads, bias=True, dropout=dropout, probability_dropout=dropout,
                          init=INIT)
    feedforward = FeedForward(width=4 * width, activation="gelu_tanh", bias=True, dropout=dropout,
                              init=INIT)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, types=2, position=Learned(length=length),
                            norm=NORM, dropout=dropout, init=INIT),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        pooler=Pooler(init=INIT) if pooler else NoPooler(),
        heads=outputs,
    )
