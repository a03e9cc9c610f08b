"""This project's side of the comparisons, through the doors that train.py uses."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shapes import HEADS, SHAPES, VOCAB, WIDTH, Shape
from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import start, train_step
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.vaswani import vaswani

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def model(name: str, shape: Shape, length: int | None = None) -> Model:
    """The architecture of a shape, without dropout. length: its positions, if not the rows'."""
    size = dict(width=WIDTH, depth=shape.depth, heads=HEADS, vocab=VOCAB, dropout=0.0)
    length = length or shape.length
    if name == "gpt":
        return Model(gpt2(**size, length=length))
    if name == "bert":
        return Model(bert(**size, length=length, outputs=(MASKED,), pooler=False))
    return Model(vaswani(**size, hidden=4 * WIDTH))


def objective(name: str):
    return {"gpt": NextToken(), "bert": MaskedLM()}.get(name, SequenceToSequence())


def batch(shape: Shape, accumulate: int = 1) -> dict:
    """The shape's batch as a stream would give it, [A, B/A, ...] on the device."""
    arrays = shape.batch()
    arrays |= {"weights": np.ones(arrays["targets"].shape, np.float32),
               "index": np.arange(shape.rows, dtype=np.int32),
               "segments": np.ones_like(arrays["tokens"])}
    if shape.source:
        arrays["source_segments"] = np.ones_like(arrays["source_tokens"])
    cut = lambda a: jnp.asarray(a).reshape(accumulate, shape.rows // accumulate, *a.shape[1:])
    return jax.tree.map(cut, arrays)


def training(name: str, shape: Shape, run: Run, accumulate: int = 1):
    """(compiled step, state, batch): AdamW with clipping, as the peer's."""
    data = batch(shape, accumulate)
    return *_compiled(name, shape, run, data), data


def fed(run: Run, data: dict):
    """(compiled step, state) of the GPT shape for batches like this one."""
    return _compiled("gpt", SHAPES["gpt"], run, data)


def _compiled(name, shape, run, data):
    return stepping(model(name, shape), objective(name), run, data)


def stepping(made: Model, objective, run: Run, data: dict):
    """(compiled step, state) of any model for batches like this one."""
    optimizer = AdamW(learning_rate=Constant(peak=1e-4), decay=0.1).build()
    state = start(jax.jit(made.init)(jax.random.key(0)), optimizer, 0)
    apply = made.stepped(run)
    step = jax.jit(functools.partial(train_step, apply=apply, objective=objective,
                                     optimizer=optimizer), donate_argnums=0)
    return step.lower(state, data).compile(), state
