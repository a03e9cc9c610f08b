"""BERT on your own text, with the recipe of Devlin 2019 §A.2."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear
from transformer.zoo.bert import MASKED, SIZES, bert

# The authors trained nine tenths of the updates on rows of 128 tokens.
PAPER = dict.fromkeys(SIZES, Numbers(steps=1_000_000, batch=256, length=512, vocab=30_522,
                                     rate=1e-4, warmup=10_000, slice=128))
PAPER |= dict.fromkeys(("nano", "tiny"), dataclasses.replace(TINY, rate=1e-3))


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=bert(**SIZES[size] | dict(vocab=n.vocab, length=n.length), outputs=(MASKED,),
                   pooler=False),
        rows=Packed(length=n.length, opening="cls"),
        objective=MaskedLM(),
        optimizer=AdamW(learning_rate=WarmupLinear(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        eps=1e-6, decay=0.01, clip=1.0, correct_bias=False),
    )
