"""The original Transformer on your own pairs, with the recipe of Vaswani 2017 §5."""

from typing import Literal

from configs.pretrain.own_text import TO_TRY, vocabulary
from transformer.data.padding import Padded
from transformer.data.table import Table
from transformer.nn.context import Run
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.translation import Translation
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Noam
from transformer.zoo.vaswani import SIZES, vaswani


def experiment(path: str = "data/train.tsv", validation: str = "data/valid.tsv",
               size: Literal[tuple(SIZES)] = "base", steps: int = 100_000, batch: int = 896,
               tokenizer: str | None = None) -> Experiment:
    """Some 25,000 source and target tokens a batch; Adam 0.9/0.98, Noam, label smoothing 0.1.

    Args:
      path, validation: tab-separated pairs. The first line names the columns, `source` and `target`
        among them; a file without such a line is refused, as its first pair would be lost.
      tokenizer: see `own_text.vocabulary`.
    """
    pieces, vocab = vocabulary(tokenizer, paper=37_000)
    shape = {**SIZES[size], "vocab": vocab}
    return Experiment(
        model=vaswani(**shape),
        tokenizer=pieces,
        data=Table(path=path), validation=Table(path=validation),
        task=Translation(),
        rows=Padded(length=128, source_length=128),
        objective=SequenceToSequence(smoothing=0.1, spread="others"),
        optimizer=AdamW(learning_rate=Noam(width=shape["width"]), b1=0.9, b2=0.98, eps=1e-9,
                        clip=None),
        run=Run(dtype="float32" if size in TO_TRY else "bfloat16"),
        steps=steps, batch=batch,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
