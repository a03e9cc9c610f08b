"""GPT-2 on your own text. Sizes are Radford 2019, Table 2; the recipe of its reproductions."""

from typing import Literal

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.chunks import Chunks
from transformer.data.source import Text
from transformer.data.stored_tokenizer import StoredTokenizer
from transformer.nn.context import Run
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

    `tokenizer` is a directory that `python -m transformer tokenizer train` made; without one a
    vocabulary of the paper's size is trained from the text. The model's is rounded up to 128.
    """
    pieces = Pieces(vocab=50_257) if tokenizer is None else StoredTokenizer(path=tokenizer)
    ids = 50_257 if tokenizer is None else pieces.train().size
    shape = {"length": 1024, **SIZES[size], "vocab": -(-ids // 128) * 128}
    peak = RATES[size]
    return Experiment(
        model=gpt2(**shape),
        tokenizer=pieces,
        data=Text(path=path),
        validation=Holdout(fraction=0.005 if tokenizer is None else 0.05),
        rows=Chunks(length=shape["length"]),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=peak, warmup=min(2000, steps // 10),
                                                   steps=steps, final=peak / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        run=Run(dtype="float32" if size == "tiny" else "bfloat16"),
        steps=steps, batch=batch, accumulate=16 if batch % 16 == 0 and size != "tiny" else 1,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
