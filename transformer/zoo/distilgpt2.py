"""DistilGPT-2 (Sanh 2019): the shape of a GPT-2 of six layers."""

from __future__ import annotations

from transformer.nn.model import Decoder
from transformer.zoo.gpt2 import gpt2

PAPER = "Sanh 2019; the released model"
OBJECTIVES = ("next_token",)
INTEROP = ("gpt2",)
SIZES = {
    "tiny": dict(width=64, depth=1, heads=4, vocab=256, length=64),
    "base": dict(width=768, depth=6, heads=12, vocab=50257, length=1024),
}
COUNTS = {"base": 81_912_576}


def distilgpt2(size: str | None = None, *, width=768, depth=6, heads=12, vocab=50257, length=1024,
               dropout=0.1) -> Decoder:
    """Arguments as `gpt2`. The student takes every other layer of its teacher to begin with."""
    if size is not None:
        return gpt2(**SIZES[size], dropout=dropout)
    return gpt2(width=width, depth=depth, heads=heads, vocab=vocab, length=length, dropout=dropout)
