"""RoBERTa on your own text, with the recipe of Liu 2019, Table 9: masks anew in every epoch."""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Triangle
from transformer.zoo.roberta import SIZES, roberta


def paper(rate: float, warmup: int) -> Numbers:
    """8k rows of 512 tokens, 500k times."""
    return Numbers(steps=500_000, batch=8192, length=512, vocab=50_265, rate=rate, warmup=warmup,
                   slice=128)


PAPER = {"base": paper(6e-4, 24_000), "large": paper(4e-4, 30_000)}


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=roberta(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Packed(length=n.length, opening="cls"),
        objective=MaskedLM(),
        optimizer=AdamW(learning_rate=Triangle(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        b1=0.9, b2=0.98, eps=1e-6, decay=0.01, clip=None),
    )
