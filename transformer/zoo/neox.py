"""GPT-NeoX (Black 2022) in the sizes of Pythia (Biderman 2023)."""

from __future__ import annotations

from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Untied
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Rotary
from transformer.nn.residual import ParallelNorm, PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

PAPER = "Biderman 2023, Table 1"
OBJECTIVES = ("next_token",)
INTEROP = ("gpt_neox",)
RECIPE = False
SIZES = {
    "tiny": dict(width=64, depth=2, heads=4, vocab=256),
    "70m": dict(width=512, depth=6, heads=8),
    "160m": dict(width=768, depth=12, heads=12),
    "410m": dict(width=1024, depth=24, heads=16),
    "1b": dict(width=2048, depth=16, heads=8),
    "1.4b": dict(width=2048, depth=24, heads=16),
    "2.8b": dict(width=2560, depth=32, heads=32),
    "6.9b": dict(width=4096, depth=32, heads=32, vocab=50432),
    "12b": dict(width=5120, depth=36, heads=40, vocab=50688),
}
COUNTS = {"70m": 70_426_624, "160m": 162_322_944, "410m": 405_334_016, "1b": 1_011_781_632,
          "1.4b": 1_414_647_808, "2.8b": 2_775_208_960, "6.9b": 6_857_302_016,
          "12b": 11_846_072_320}


def neox(size: str | None = None, *, width=512, depth=6, heads=8, vocab=50304, hidden=None,
         fraction=0.25, base=10_000.0, eps=1e-5, parallel=True) -> Decoder:
    """GPT-NeoX: sublayers side by side with a norm each, a quarter of each head rotates, untied.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      width, depth, heads, vocab: Table 1. hidden: feed-forward width, 4 * width by default.
      fraction, base: see `nn.position.Rotary`. eps: of the norms.
      parallel: whether both sublayers read the same stream.
    """
    if size is not None:
        return neox(**SIZES[size])
    attention = Attention(heads=heads, bias=True, reach=Causal(),
                          rotary=Rotary(base=base, fraction=fraction))
    feedforward = FeedForward(width=hidden or 4 * width, activation="gelu", bias=True)
    norm = LayerNorm(eps=eps)
    block = Block(residual=ParallelNorm(norm=norm, own=True) if parallel else PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=vocab, width=width),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=(("logits", Untied(vocab=vocab)),),
    )
