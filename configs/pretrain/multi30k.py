"""Multi30k English to German on a CPU: the original kind of Transformer, small, by BLEU."""

from transformer.data.padding import Padded
from transformer.data.pieces import Pieces
from transformer.data.table import Table
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.translation import Translation
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Noam
from transformer.zoo.vaswani import vaswani

VOCAB = 4096


def experiment(folder: str, steps: int = 2800) -> Experiment:
    """`folder` holds train.tsv, val.tsv and test2016.tsv with the columns source and target."""
    def pairs(name):
        return Table(path=f"{folder}/{name}.tsv")

    return Experiment(
        model=vaswani(width=256, depth=3, heads=4, hidden=1024, vocab=VOCAB, dropout=0.15),
        tokenizer=Pieces(vocab=VOCAB),
        data=pairs("train"), validation=pairs("val"), test=pairs("test2016"),
        task=Translation(),
        rows=Padded(length=64, source_length=64, buckets=(16, 24, 32, 48)),
        objective=SequenceToSequence(smoothing=0.1, spread="others"),
        optimizer=AdamW(learning_rate=Noam(width=256, warmup=800, scale=2.0), b1=0.9, b2=0.98,
                        eps=1e-9, clip=1.0),
        steps=steps, batch=128, average=0.998,
        log_every=25, evaluate_every=500, save_every=250,
    )
