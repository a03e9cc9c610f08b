"""The published sizes that accelerators are measured on, and what is expected of them.

Goals are shares of the measured rate of an [8192, 8192] x [8192, 8192] bf16 product of random
numbers, for one H200; "micro" are rows of a step, the most first: a side takes the first that fits
into its half of the memory. What cannot fit there by count is not tried: each try is a compilation.
"""

from __future__ import annotations

import dataclasses

from benchmarks.shapes import Shape

GPT2 = dict(vocab=50304, length=1024)  # V of the paper, 50257, padded to a multiple of 128
BERT = dict(vocab=30592, length=512)  # of 30522
# Llama 3.2 1B: Meta's model card; one table for tokens and output
LLAMA = dict(width=2048, depth=16, heads=32, kv_heads=8, hidden=8192, vocab=128256)
T5 = dict(width=768, depth=12, heads=12, hidden=2048, vocab=32128)


@dataclasses.dataclass(frozen=True)
class Workload:
    """family: whose architecture. size: its arguments. published: V before padding, which is what
    FLOPs are counted with. length, source, masked: of a row, as in Shape. goal: see above."""

    family: str
    size: dict
    published: int
    length: int
    micro: tuple[int, ...]
    goal: float | None = None
    source: int = 0
    masked: int = 0

    def shape(self, rows: int) -> Shape:
        return Shape(depth=self.size["depth"], rows=rows, length=self.length, source=self.source,
                     masked=self.masked, vocab=self.published)


def _gpt2(width, depth, heads, micro, goal):
    return Workload("gpt2", dict(width=width, depth=depth, heads=heads, **GPT2), 50257, 1024, micro,
                    goal)


def _bert(width, depth, heads, micro, goal):
    return Workload("bert", dict(width=width, depth=depth, heads=heads, **BERT), 30522, 512, micro,
                    goal, masked=round(0.15 * 512))


PUBLISHED = {  # the most important first
    "gpt2_124m": _gpt2(768, 12, 12, (64, 32, 16, 8), 0.47),
    "bert_base": _bert(768, 12, 12, (128, 64, 32), 0.44),
    "gpt2_1558m": _gpt2(1600, 48, 25, (8, 4, 2), 0.60),
    "llama_1b": Workload("llama", LLAMA, 128256, 2048, (8, 4, 2, 1), 0.50),
    "t5_base": Workload("t5", T5, 32128, 114, (64, 32, 16), 0.40, source=512),
    "gpt2_350m": _gpt2(1024, 24, 16, (32, 16, 8), 0.54),
    "bert_large": _bert(1024, 24, 16, (64, 32, 16), 0.50),
    "gpt2_774m": _gpt2(1280, 36, 20, (16, 8, 4), 0.55),
}
RATIO = 1.15  # goal of ours over the peer's tokens per second

_SMALL = dict(width=32, depth=2, heads=2, vocab=256)
TINY = {  # of the same families, to try the programs anywhere
    "gpt2_124m": Workload("gpt2", dict(**_SMALL, length=32), 250, 32, (2,)),
    "bert_base": Workload("bert", dict(**_SMALL, length=32), 250, 32, (2,), masked=5),
    "llama_1b": Workload("llama", dict(**_SMALL, kv_heads=1, hidden=64), 256, 32, (2,)),
    "t5_base": Workload("t5", dict(**_SMALL, hidden=64), 256, 8, (2,), source=16),
}
SCALES = {"published": PUBLISHED, "tiny": TINY}
