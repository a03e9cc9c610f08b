"""GPT-1 on your own text, with the recipe of Radford 2018 §4.1."""

from typing import Literal

from configs.pretrain.own_text import own_text
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import GPT1Adam
from transformer.training.schedule import GPT1Cosine
from transformer.zoo.gpt1 import SIZES, gpt1


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "base",
               steps: int = 3_000_000, batch: int = 64, tokenizer: str | None = None) -> Experiment:
    """Batches of 64 rows of 512 tokens; 100 epochs of the authors' corpus are some 3M updates.

    tokenizer: see `own_text.vocabulary`.
    """
    vocab, shared = own_text(path, size, batch, tokenizer, paper=40_478, rows=64)
    shape = {"length": 512, **SIZES[size], "vocab": vocab}
    return Experiment(
        model=gpt1(**shape, dropout=0.1),
        rows=Chunks(length=shape["length"]),
        objective=NextToken(),
        optimizer=GPT1Adam(learning_rate=GPT1Cosine(peak=2.5e-4, warmup=min(2000, steps // 10),
                                                    steps=steps),
                           decay=0.01),
        steps=steps, **shared,
    )
