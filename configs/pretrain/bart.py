"""BART on your own text, with the recipe of Lewis 2020 §5, and RoBERTa's where that is silent."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.denoising import Denoising
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Triangle
from transformer.zoo.bart import SIZES, bart


def paper(rate: float, warmup: int) -> Numbers:
    """8,000 rows, 500,000 times: §5.1. The rest: Liu 2019, Table 9."""
    return Numbers(steps=500_000, batch=8000, length=512, vocab=50_265, rate=rate, warmup=warmup,
                   slice=100)


PAPER = {"base": paper(6e-4, 24_000), "large": paper(4e-4, 30_000),
         "tiny": dataclasses.replace(TINY, steps=1000)}


@recipe(PAPER, "large")
def experiment(n: Numbers, size: str) -> dict:
    """The authors turned dropout off for the last tenth of the updates; here it stays on."""
    return dict(
        model=bart(**SIZES[size] | dict(vocab=n.vocab, length=1024)),
        rows=Chunks(length=n.length - 2, cross_documents=True),  # both sides add two pieces
        objective=Denoising(rate=0.3, mean=3.0, permute=True),
        optimizer=AdamW(learning_rate=Triangle(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        b1=0.9, b2=0.98, eps=1e-6, decay=0.01, clip=None),
    )
