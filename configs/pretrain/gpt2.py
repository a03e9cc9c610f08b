"""GPT-2 on your own text. Sizes are Radford 2019, Table 2; the recipe of its reproductions."""

from typing import Literal

from configs.pretrain.own_text import own_text
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import SIZES, gpt2

# Radford 2019 does not publish learning rates; these are GPT-3's for the nearest size (Brown 2020,
# Table 2.1).
RATES = {"tiny": 1e-3, "small": 6e-4, "medium": 3e-4, "large": 2.5e-4, "xl": 2e-4}


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "small",
               steps: int = 100_000, batch: int = 512, tokenizer: str | None = None) -> Experiment:
    """Batches of 512 rows of 1,024 tokens, as Radford 2019 §2.3.

    tokenizer: see `own_text.vocabulary`.
    """
    vocab, shared = own_text(path, size, batch, tokenizer, paper=50_257, rows=32)
    shape, peak = {"length": 1024, **SIZES[size], "vocab": vocab}, RATES[size]
    return Experiment(
        model=gpt2(**shape),
        rows=Chunks(length=shape["length"]),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=peak, warmup=min(2000, steps // 10),
                                                   steps=steps, final=peak / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        steps=steps, **shared,
    )
