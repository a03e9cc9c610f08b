"""GPT-2 on your own text. Sizes are Radford 2019, Table 2; the recipe of its reproductions."""

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.chunks import Chunks
from transformer.data.source import Text
from transformer.nn.context import Run
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import SIZES, gpt2

# Radford 2019 does not publish learning rates; these are GPT-3's for the nearest size (Brown 2020,
# Table 2.1).
RATES = {"tiny": 1e-3, "small": 6e-4, "medium": 3e-4, "large": 2.5e-4, "xl": 2e-4}


def experiment(path: str = "data/*.txt", size: str = "small", steps: int = 100_000) -> Experiment:
    """Batches of 512 rows of 1,024 tokens, as Radford 2019 §2.3."""
    shape = {"length": 1024, **SIZES[size], "vocab": 50_304}  # 50,257 rounded up to 128
    return Experiment(
        model=gpt2(**shape),
        tokenizer=Pieces(vocab=50_257),
        data=Text(path=path),
        validation=Holdout(fraction=0.005),
        rows=Chunks(length=shape["length"]),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=RATES[size], warmup=2000, steps=steps,
                                                   final=RATES[size] / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        run=Run(dtype="bfloat16"),
        steps=steps, batch=512, accumulate=16,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
