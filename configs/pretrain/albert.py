"""ALBERT on your own text, with the recipe of Lan 2020 §4.1 and its code."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.pairs import Pairs
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams
from transformer.objectives.sentence_order import SentenceOrder
from transformer.training.lamb import LAMB
from transformer.training.schedule import WarmupLinear
from transformer.zoo.albert import SIZES, albert

PAPER = dict.fromkeys(SIZES, Numbers(steps=125_000, batch=4096, length=512, vocab=30_000,
                                     rate=1.76e-3, warmup=3125, slice=64, pieces="unigram"))
PAPER["tiny"] = dataclasses.replace(TINY, length=64, batch=32, rate=1e-2)


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    """Sentence order, and masked n-grams of whole words, at most 20 pieces of a row."""
    return dict(
        model=albert(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Pairs(length=n.length, short=0.1, contrast="swapped"),
        objective=SentenceOrder(masked=MaskedLM(unit=NGrams(longest=3), most=20)),
        optimizer=LAMB(learning_rate=WarmupLinear(peak=n.rate, warmup=n.warmup, steps=n.steps),
                       decay=0.01, clip=1.0),
    )
