"""This project's side on an accelerator: the workloads as models, and their training step."""

from __future__ import annotations

import dataclasses
import gc

import jax

from benchmarks import ours
from benchmarks.workloads import Workload
from transformer.nn.count import train_flops
from transformer.nn.door import Model
from transformer.nn.head import Tied
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.llama import llama
from transformer.zoo.t5 import t5


def model(work: Workload, **changes) -> Model:
    """The architecture, without dropout."""
    size = {**work.size, **changes}
    if work.family == "gpt2":
        return Model(gpt2(**size))
    if work.family == "bert":
        return Model(bert(**size, dropout=0.0, outputs=(MASKED,), pooler=False))
    if work.family == "t5":
        return Model(t5(**size, gated=True, dropout=0.0))  # 1.1
    return Model(dataclasses.replace(llama(**size, base=500_000.0), heads=(("logits", Tied()),)))


def row_flops(work: Workload) -> float:
    """FLOPs of a row, with the vocabulary as published."""
    return train_flops(model(work, vocab=work.published), work.length, work.source,
                       work.masked or None)


def batch(work: Workload, rows: int) -> dict:
    """[1, rows, ...] on the device, with segments as in training; the peer's rows need no mask."""
    return ours.batch(work.shape(rows))


def training(work: Workload, run, rows: int):
    """(compiled step, state, batch) of steps of so many rows.

    Raises:
      MemoryError: it does not fit.
    """
    goal = {"bert": MaskedLM(), "t5": SequenceToSequence()}.get(work.family, NextToken())
    try:
        data = batch(work, rows)
        step, state = ours.stepping(model(work), goal, run, data)
        state, _ = step(state, data)
        return step, jax.block_until_ready(state), data
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
    gc.collect()  # here, where the exception no longer holds the arrays
    raise MemoryError
