"""LLaMA on your own text, with the recipe of Touvron 2023 §2.3."""

from typing import Literal

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.chunks import Chunks
from transformer.data.source import Text
from transformer.nn.context import Run
from transformer.objectives.next_token import NextToken
from transformer.ops.placement import Mesh
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.llama import SIZES, llama

RATES = {"tiny": 1e-3, "7b": 3e-4, "13b": 3e-4, "33b": 1.5e-4, "65b": 1.5e-4}  # Table 2


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "7b",
               steps: int = 250_000) -> Experiment:
    """4M tokens a batch in rows of 2,048 tokens, parameters split over all devices."""
    peak = RATES[size]
    return Experiment(
        model=llama(**{**SIZES[size], "vocab": 32_000}),
        tokenizer=Pieces(vocab=32_000),
        data=Text(path=path),
        validation=Holdout(fraction=0.005),
        rows=Chunks(length=2048),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=peak, warmup=min(2000, steps // 10),
                                                   steps=steps, final=peak / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        run=Run(dtype="bfloat16", remat="dots"),
        mesh=Mesh(data=1, fsdp=-1),
        steps=steps, batch=2048, accumulate=8,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
