"""The program of a training step does not know the model's depth, so its compilation takes as long
for 96 layers as for 12: it has as many operations of each kind whatever the depth."""

import functools
import itertools
import re
from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import start, train_step
from transformer.zoo.albert import albert
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.t5 import t5
from transformer.zoo.vaswani import vaswani

SIZE = dict(width=16, heads=2, vocab=64)
B, T, S, N = 11, 12, 17, 9
DEPTHS = 6, 10  # neither they nor their halves are any other size: equal shapes share functions
BERT = dict(outputs=(MASKED,), pooler=False)
STACKS = {
    "decoder": lambda depth: (gpt2(**SIZE, depth=depth, length=T, dropout=0.1), NextToken()),
    "banded decoder": lambda depth: (gpt3(**SIZE, depth=depth), NextToken()),
    "encoder": lambda depth: (bert(**SIZE, depth=depth, length=T, **BERT), MaskedLM()),
    "shared encoder": lambda depth: (albert(**SIZE, depth=depth, outputs=(MASKED,)), MaskedLM()),
    "encoder-decoder": lambda depth: (
        vaswani(**SIZE, depth=depth, hidden=32), SequenceToSequence()),
    "biased encoder-decoder": lambda depth: (
        t5(**SIZE, depth=depth, head_dim=8, hidden=32), SequenceToSequence()),
}


def operations(lowered) -> Counter:
    """How often each operation stands in a lowered program."""
    return Counter(re.findall(r"\b(?:stablehlo|func|chlo)\.\w+", lowered.as_text()))


def batch_of(spec) -> dict:
    """The shapes of a batch [1, B, ...]."""
    ids = {"tokens": (B, T), "segments": (B, T), "targets": (B, T), "index": (B,)}
    if hasattr(spec, "encoder"):
        ids |= {"source_tokens": (B, S), "source_segments": (B, S)}
    if any(name == "mlm" for name, _ in spec.heads):
        ids |= {"masked": (B, N), "targets": (B, N)}
    shapes = {name: jax.ShapeDtypeStruct((1, *shape), jnp.int32) for name, shape in ids.items()}
    return shapes | {"weights": jax.ShapeDtypeStruct(shapes["targets"].shape, jnp.float32)}


def programs(spec, objective, remat) -> tuple[Counter, Counter]:
    """(of the training step, of the initialisation)."""
    model = Model(spec)
    optimizer = AdamW(learning_rate=Constant(peak=1e-3), decay=0.1).build()
    apply = functools.partial(model.apply, run=Run(remat=remat), scored=False)
    step = functools.partial(train_step, apply=apply, objective=objective, optimizer=optimizer)
    key = jax.random.key(0)
    begin = jax.jit(lambda key: start(model.init(key), optimizer, 0)).trace(key)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), begin.out_info)
    return (operations(jax.jit(step).lower(state, batch_of(spec))), operations(begin.lower()))


@pytest.mark.parametrize("stack,remat", [
    ("decoder", "none"), ("encoder", "none"), ("encoder-decoder", "none"), ("decoder", "dots"),
    *(pytest.param(*cell, marks=pytest.mark.full)
      for cell in itertools.product(STACKS, ("none", "full"))),
])
def test_the_program_does_not_grow_with_depth(stack, remat):
    shallow, deep = (programs(*STACKS[stack](depth), remat) for depth in DEPTHS)
    assert sum(shallow[0].values()) > 200 and shallow[0]["stablehlo.while"]
    assert shallow[0] == deep[0]
    assert shallow[1] == deep[1]
