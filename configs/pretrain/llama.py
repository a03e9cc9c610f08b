"""LLaMA on your own text, with the recipe of Touvron 2023 §2.3."""

from typing import Literal

from configs.pretrain.own_text import TO_TRY, own_text
from transformer.data.chunks import Chunks
from transformer.nn.context import Run
from transformer.objectives.next_token import NextToken
from transformer.ops.placement import Mesh
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.llama import SIZES, llama

RATES = {"tiny": 1e-3, "7b": 3e-4, "13b": 3e-4, "33b": 1.5e-4, "65b": 1.5e-4}  # Table 2


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "7b",
               steps: int = 250_000, batch: int = 2048, tokenizer: str | None = None) -> Experiment:
    """4M tokens a batch in rows of 2,048 tokens, parameters split over all devices.

    tokenizer: see `own_text.vocabulary`.
    """
    vocab, shared = own_text(path, size, batch, tokenizer, paper=32_000, rows=256,
                             run=Run(remat="dots"))
    peak = RATES[size]
    return Experiment(
        model=llama(**{**SIZES[size], "vocab": vocab}),
        rows=Chunks(length=256 if size in TO_TRY else 2048),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=peak, warmup=min(2000, steps // 10),
                                                   steps=steps, final=peak / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        mesh=Mesh(data=1, fsdp=-1),
        steps=steps, **shared,
    )
