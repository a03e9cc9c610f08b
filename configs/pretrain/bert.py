"""BERT's masked language model on your own text, with the recipe of Devlin 2019 §A.2."""

from typing import Literal

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.packing import Packed
from transformer.data.source import Text
from transformer.nn.context import Run
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear
from transformer.zoo.bert import MASKED, SIZES, bert


def experiment(path: str = "data/*.txt", size: Literal[tuple(SIZES)] = "base", length: int = 512,
               steps: int = 1_000_000) -> Experiment:
    """256 rows of 512 tokens (the authors trained nine tenths of the steps at 128)."""
    shape = {"length": 512, **SIZES[size], "vocab": 30_592}  # 30,522 rounded up to 128
    return Experiment(
        model=bert(**shape, outputs=(MASKED,), pooler=False),
        tokenizer=Pieces(vocab=30_522),
        data=Text(path=path),
        validation=Holdout(fraction=0.005),
        rows=Packed(length=min(length, shape["length"]), opening="cls"),
        objective=MaskedLM(),
        optimizer=AdamW(learning_rate=WarmupLinear(peak=1e-4, warmup=min(10_000, steps // 10),
                                                   steps=steps),
                        eps=1e-6, decay=0.01, clip=1.0, correct_bias=False),
        run=Run(dtype="bfloat16"),
        steps=steps, batch=256, accumulate=2,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
