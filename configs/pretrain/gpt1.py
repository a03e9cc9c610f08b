"""GPT-1 on your own text, with the recipe of Radford 2018 §4.1."""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.training.optimizer import GPT1Adam
from transformer.training.schedule import GPT1Cosine
from transformer.zoo.gpt1 import SIZES, gpt1

# 100 epochs of the authors' corpus are some 3M updates.
PAPER = {"base": Numbers(steps=3_000_000, batch=64, length=512, vocab=40_478, rate=2.5e-4,
                         warmup=2000, slice=64)}


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=gpt1(**SIZES[size] | dict(vocab=n.vocab, length=n.length), dropout=0.1),
        rows=Chunks(length=n.length),
        objective=NextToken(),
        optimizer=GPT1Adam(learning_rate=GPT1Cosine(peak=n.rate, warmup=n.warmup, steps=n.steps),
                           decay=0.01),
    )
