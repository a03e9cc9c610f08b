"""ELECTRA on your own text, with the recipe of Clark 2020, Table 6."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.replaced_token import ReplacedToken
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupTimesLinear
from transformer.zoo.electra import SIZES, electra


def paper(steps: int, batch: int, length: int, rate: float) -> Numbers:
    """What differs between the sizes."""
    return Numbers(steps=steps, batch=batch, length=length, vocab=30_522, rate=rate, warmup=10_000,
                   slice=128)


# `large` is the model of 400,000 updates; another was trained for 1.75M.
PAPER = {"small": paper(1_000_000, 128, 128, 5e-4), "base": paper(766_000, 256, 512, 2e-4),
         "large": paper(400_000, 2048, 512, 2e-4), "tiny": dataclasses.replace(TINY, rate=1e-3)}


@recipe(PAPER, "small")
def experiment(n: Numbers, size: str) -> dict:
    """Generator and discriminator together, of which the latter is kept."""
    masked = MaskedLM(rate=0.25 if size == "large" else 0.15, replace=(0.85, 0.0, 0.15))
    return dict(
        model=electra(**SIZES[size] | dict(vocab=n.vocab, length=512)),
        rows=Packed(length=n.length, opening="cls"),
        objective=ReplacedToken(masked=masked),
        optimizer=AdamW(
            learning_rate=WarmupTimesLinear(peak=n.rate, warmup=n.warmup, steps=n.steps),
            eps=1e-6, decay=0.01, clip=1.0, correct_bias=False),
    )
