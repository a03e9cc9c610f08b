"""BERT's masked language model on your own text, with the recipe of Devlin 2019 §A.2."""

from typing import Literal

from configs.pretrain.own_text import own_text
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear
from transformer.zoo.bert import MASKED, SIZES, bert


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "base", length: int = 512,
               steps: int = 1_000_000, batch: int = 256,
               tokenizer: str | None = None) -> Experiment:
    """256 rows of 512 tokens (the authors trained nine tenths of the steps at `length` 128).

    tokenizer: see `own_text.vocabulary`.
    """
    vocab, shared = own_text(path, size, batch, tokenizer, paper=30_522, rows=128)
    shape = {"length": 512, **SIZES[size], "vocab": vocab}
    return Experiment(
        model=bert(**shape, outputs=(MASKED,), pooler=False),
        rows=Packed(length=min(length, shape["length"]), opening="cls"),
        objective=MaskedLM(),
        optimizer=AdamW(learning_rate=WarmupLinear(peak=1e-4, warmup=min(10_000, steps // 10),
                                                   steps=steps),
                        eps=1e-6, decay=0.01, clip=1.0, correct_bias=False),
        steps=steps, **shared,
    )
