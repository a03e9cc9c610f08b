"""GPT-1 (Radford 2018, "Improving Language Understanding by Generative Pre-Training")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Tied
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Radford 2018, §4.1"
OBJECTIVES = ("next_token", "classify", "regress", "choose")
INTEROP = ("openai-gpt",)
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256, length=64),
    "base": dict(width=768, depth=12, heads=12),
}
COUNTS = {"base": 116_534_784}  # the released checkpoint; "117M" in the paper's successors


def gpt1(size: str | None = None, *, width=768, depth=12, heads=12, vocab=40478, length=512,
         dropout=0.1) -> Decoder:
    """GPT-1: post-norm, no final norm, tanh GELU, learned positions.

    The released code drops entries of the token table itself, one mask for the whole batch; here,
    as in every later implementation, dropout falls on the sum of the embeddings.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout.
      width, depth, heads, vocab: §4.1. length: positions, in tokens.
      dropout: rate at the embedding, the attention probabilities and both outputs.
    """
    if size is not None:
        return gpt1(**SIZES[size], dropout=dropout)
    attention = Attention(heads=heads, bias=True, reach=Causal(), dropout=dropout,
                          probability_dropout=dropout)
    feedforward = FeedForward(width=4 * width, activation="gelu_tanh", bias=True, dropout=dropout)
    block = Block(residual=PostNorm(norm=LayerNorm(eps=1e-5)),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width, position=Learned(length=length),
                            dropout=dropout),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        heads=(("logits", Tied()),),
    )
