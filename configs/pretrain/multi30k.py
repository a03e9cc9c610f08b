"""Multi30k English to German on a CPU: a small Transformer of the original kind, and what was
before it, by BLEU under one budget."""

import dataclasses
from typing import Literal

from transformer.data.padding import Padded
from transformer.data.pieces import Pieces
from transformer.data.table import Table
from transformer.nn.alignment import NoAttention
from transformer.nn.initial import Glorot
from transformer.nn.readout import Copied
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.spec import Spec
from transformer.tasks.translation import Translation
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.rnn import rnn
from transformer.zoo.vaswani import vaswani

VOCAB = 4096


def transformer() -> Spec:
    """6.6M parameters."""
    return vaswani(width=256, depth=3, heads=4, hidden=1024, vocab=VOCAB, dropout=0.2)


def recurrent(attention: bool) -> Spec:
    """GRUs as wide, 4.5M parameters as Bahdanau 2015 put them together.

    Without attention the source, reversed, has one reader, and speaks through its last state alone
    (Sutskever 2014).
    """
    made = rnn(width=256, embedding=256, hidden=256, vocab=VOCAB, dropout=0.3, init=Glorot())
    blind = dict(attention=NoAttention(), reading="backward", start=Copied())
    return made if attention else dataclasses.replace(made, **blind)


def experiment(folder: str, model: Literal["vaswani", "rnn", "rnn_attention"] = "vaswani",
               steps: int | None = None) -> Experiment:
    """`folder` holds train.tsv, val.tsv and test2016.tsv with the columns source and target."""
    def pairs(name):
        return Table(path=f"{folder}/{name}.tsv")

    if model == "vaswani":
        steps, spec, peak = steps or 3000, transformer(), 1e-3
    else:
        steps, spec, peak = steps or 4000, recurrent(attention=model == "rnn_attention"), 2e-3
    rate = WarmupCosine(peak=peak, warmup=300, steps=max(steps, 301), final=peak / 40)
    return Experiment(
        model=spec,
        tokenizer=Pieces(vocab=VOCAB),
        data=pairs("train"), validation=pairs("val"), test=pairs("test2016"),
        task=Translation(),
        rows=Padded(length=64, source_length=64, buckets=(16, 24, 32, 48)),
        objective=SequenceToSequence(smoothing=0.1, spread="others"),
        optimizer=AdamW(learning_rate=rate, b1=0.9, b2=0.98, eps=1e-9, clip=1.0),
        steps=steps, batch=128, average=0.998,
        log_every=25, evaluate_every=500, save_every=250,
    )
