"""GPT-1 on your own text, with the recipe of Radford 2018 §4.1."""

from typing import Literal

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.chunks import Chunks
from transformer.data.source import Text
from transformer.nn.context import Run
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import GPT1Adam
from transformer.training.schedule import GPT1Cosine
from transformer.zoo.gpt1 import SIZES, gpt1


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "base",
               steps: int = 3_000_000) -> Experiment:
    """Batches of 64 rows of 512 tokens; 100 epochs of the authors' corpus are some 3M updates."""
    shape = {"length": 512, **SIZES[size], "vocab": 40_576}  # 40,478 rounded up to 128
    return Experiment(
        model=gpt1(**shape, dropout=0.1),
        tokenizer=Pieces(vocab=40_478),
        data=Text(path=path),
        validation=Holdout(fraction=0.005),
        rows=Chunks(length=shape["length"]),
        objective=NextToken(),
        optimizer=GPT1Adam(learning_rate=GPT1Cosine(peak=2.5e-4, warmup=min(2000, steps // 10),
                                                    steps=steps),
                           decay=0.01),
        run=Run(dtype="bfloat16"),
        steps=steps, batch=64,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
