"""The shapes of a run's batches without its data: rows of a text that stands in for it.

Shapes follow from the rows, the objective and the task, never from what a text says, so that a few
sentences cut into bytes give those of any corpus under any tokenizer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator

import jax

from transformer import wiring
from transformer.data.source import Source
from transformer.data.vocabulary import Bytes
from transformer.training.experiment import Experiment

SENTINELS = 100  # special pieces of the tokenizer, for span corruption
RECORDS = 64


class StandIn(Source):
    """Three short documents."""

    def records(self) -> Iterator[dict]:
        for n in range(3):
            yield {"text": "Some words make a sentence. " * 40, "where": f"document {n + 1}"}

    def fingerprint(self) -> str:
        return hashlib.sha256(b"".join(r["text"].encode() for r in self.records())).hexdigest()


class First(Source):
    """The first records of another source."""

    of: Source

    def records(self) -> Iterator[dict]:
        yield from itertools.islice(self.of.records(), RECORDS)

    def fingerprint(self) -> str:
        return self.of.fingerprint()


def one_example(experiment: Experiment) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays of a batch of one example, as widely padded as any.

    Choices of a multiple-choice example are rows of their own. Of labelled data the first records
    are read: how many choices or answers they have decides the shapes.

    Raises:
      UserError: labelled data that is not there; what `train.py` says of such an experiment.
    """
    data = StandIn() if experiment.task is None else First(of=experiment.data)
    small = dataclasses.replace(experiment, data=data, validation=None, batch=1, accumulate=1)
    rows = experiment.rows
    if getattr(rows, "buckets", ()):
        small = dataclasses.replace(small, rows=dataclasses.replace(rows, buckets=()))
    found, _ = wiring.training_data(small, Bytes(sentinels=SENTINELS).train())
    batch = found.stream(small)[0]
    return {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in batch.items()}
