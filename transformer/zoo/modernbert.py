"""ModernBERT (Warner 2024, "Smarter, Better, Faster, Longer")."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, NoPooler, Pooler
from transformer.nn.initial import Truncated
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import FirstBare, PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Everywhere, Window

PAPER = "Warner 2024, Table 4"
OBJECTIVES = ("masked_lm", "classify", "regress", "choose", "tag", "extract")
INTEROP = ("modernbert",)
SIZES = {
    "tiny": dict(width=64, depth=4, heads=4, hidden=96, vocab=256, reach=8),
    "base": dict(width=768, depth=22, heads=12, hidden=1152),
    "large": dict(width=1024, depth=28, heads=16, hidden=2624),
}
COUNTS = {"base": 149_655_232, "large": 395_881_664}  # with the masked head

NORM = LayerNorm(eps=1e-5, bias=False)
INIT = Truncated(std=0.02)
MASKED = ("mlm", Masked(activation="gelu", norm=NORM, bias=False, init=INIT))
EVERY = 3  # layers from one that looks everywhere to the next (§2.1.2)


def modernbert(size: str | None = None, *, width=768, depth=22, heads=12, hidden=1152, vocab=50368,
               reach=64, base=160_000.0, local_base=10_000.0, dropout=0.0,
               outputs: tuple = (MASKED,), pooler=False) -> Encoder:
    """ModernBERT: pre-norm, rotary, gated GELU, no biases; two of three layers look nearby only.

    Args:
      size: a key of SIZES; the other arguments are then ignored, except dropout and the heads.
      width, depth, heads, hidden (feed-forward width), vocab: Table 4.
      reach: of the local layers, tokens on either side. base, local_base: of the rotary periods.
      dropout: rate at both outputs. outputs: the heads.
      pooler: whether norm(gelu(dense)) precedes those that read one vector a row.
    """
    if size is not None:
        return modernbert(**SIZES[size], dropout=dropout, outputs=outputs, pooler=pooler)

    def block(n):
        here = Everywhere() if n % EVERY == 0 else Window(width=reach)
        rotary = Rotary(base=base if n % EVERY == 0 else local_base)
        # the embedding has just been normed
        rule = FirstBare(norm=NORM) if n == 0 else PreNorm(norm=NORM)
        return Block(residual=rule, sublayers=(
            ("attention", Attention(heads=heads, reach=here, rotary=rotary, dropout=dropout,
                                    init=INIT)),
            ("feedforward", FeedForward(width=hidden, activation="gelu", gated=True,
                                        dropout=dropout, init=INIT))))

    periods, rest = divmod(depth - 1, EVERY)
    segments = [Segment(pattern=(block(0),), repeats=1)]
    if periods:
        segments.append(Segment(pattern=tuple(map(block, range(1, 1 + EVERY))), repeats=periods))
    if rest:
        segments.append(Segment(pattern=tuple(map(block, range(1, 1 + rest))), repeats=1))
    return Encoder(
        embedding=Embedding(vocab=vocab, width=width, norm=NORM, dropout=dropout, init=INIT),
        stack=Stack(segments=tuple(segments), final_norm=NORM),
        pooler=Pooler(activation="gelu", norm=NORM, bias=False, init=INIT) if pooler
        else NoPooler(),
        heads=outputs,
    )
