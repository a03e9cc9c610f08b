"""The original Transformer on your own pairs, with the recipe of Vaswani 2017 §5."""

from transformer.data.pieces import Pieces
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
               size: str = "base", steps: int = 100_000) -> Experiment:
    """Some 25,000 source and target tokens a batch; Adam 0.9/0.98, Noam, label smoothing 0.1.

    Args:
      path, validation: tab-separated pairs. The first line names the columns, `source` and `target`
        among them; a file without such a line is refused, as its first pair would be lost.
    """
    shape = {**SIZES[size], "vocab": 37_120}  # 37,000 rounded up to 128
    return Experiment(
        model=vaswani(**shape),
        tokenizer=Pieces(vocab=37_000),
        data=Table(path=path), validation=Table(path=validation),
        task=Translation(),
        rows=Padded(length=128, source_length=128),
        objective=SequenceToSequence(smoothing=0.1, spread="others"),
        optimizer=AdamW(learning_rate=Noam(width=shape["width"]), b1=0.9, b2=0.98, eps=1e-9,
                        clip=None),
        run=Run(dtype="bfloat16"),
        steps=steps, batch=896,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
