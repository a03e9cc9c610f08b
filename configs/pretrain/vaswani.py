"""The original Transformer on your own pairs, with the recipe of Vaswani 2017 §5."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.own import OwnPairs
from transformer.data.padding import Padded
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.translation import Translation
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Noam
from transformer.zoo.vaswani import SIZES, vaswani

# Some 25,000 source and 25,000 target tokens a batch.
BASE = Numbers(steps=100_000, batch=896, length=128, vocab=37_000, rate=1.0, warmup=4000, slice=896)
PAPER = {"base": BASE, "big": dataclasses.replace(BASE, steps=300_000),
         "tiny": dataclasses.replace(TINY, length=64, vocab=1024, rate=0.3)}


@recipe(PAPER, "base", source=OwnPairs)
def experiment(n: Numbers, size: str) -> dict:
    """Adam with Noam's rate, label smoothing 0.1.

    path, validation: tables whose first line names the columns, `source` and `target` among them.
    """
    shape = SIZES[size] | dict(vocab=n.vocab)
    shorter = max(n.warmup, 1) / PAPER[size].warmup  # alone it would make Noam's peak higher
    return dict(
        model=vaswani(**shape),
        task=Translation(),
        rows=Padded(length=n.length, source_length=n.length),
        objective=SequenceToSequence(smoothing=0.1, spread="others"),
        optimizer=AdamW(learning_rate=Noam(width=shape["width"], warmup=max(n.warmup, 1),
                                           scale=n.rate * shorter**0.5),
                        b1=0.9, b2=0.98, eps=1e-9, clip=None),
    )
