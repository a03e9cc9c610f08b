"""The least work of each part of a step, against arithmetic by hand."""

import jax
import numpy as np
import pytest
from families import ALL, TRANSLATORS, cells, value

from transformer.nn.count import train_flops
from transformer.nn.door import Model
from transformer.profiling import part
from transformer.profiling.floor import Work, work
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import start
from transformer.zoo.gpt2 import gpt2

B, T, S, D, L, V = 3, 10, 7, 24, 4, 50


def needed(spec, **batch):
    model, optimizer = Model(spec), AdamW(learning_rate=Constant(peak=1.0)).build()
    state = jax.eval_shape(lambda key: start(model.init(key), optimizer, 0), jax.random.key(0))
    batch = {name: np.zeros(shape, np.int32) for name, shape in batch.items()}
    return model, work(model, state, batch, width=2)


def test_a_decoder():
    model, found = needed(gpt2(width=D, depth=L, heads=2, vocab=V, length=T), tokens=(B, T))
    stream, count = 2 * B * T * D, model.count()
    assert found[part.NORMS].bytes == (2 * L + 1) * (5 * stream + 3 * 4 * 2 * D)
    maps = 4 * (4 * D * D + 4 * D)
    assert found[part.ATTENTION].bytes == L * (5 * stream + 3 * maps)
    assert found[part.ATTENTION].flops == 3 * B * L * (8 * T * D * D + 2 * T * T * D)
    assert found[part.HEAD] == Work(6 * B * T * D * V, 2 * 4 * V * D + 2 * stream)
    assert found[part.EMBEDDING] == Work(0, 4 * V * D + 3 * 4 * T * D + 2 * stream)
    # two moments and the parameters read and written, gradients read; and two counters
    assert found[part.OPTIMIZER].bytes == pytest.approx(7 * 4 * count, abs=32)


@pytest.mark.parametrize("name", cells(ALL, ("t5", "albert", "electra", "rnn")))
def test_every_part_of_a_family_has_a_row(name):
    spec = value(name)
    source = {"source_tokens": (B, S)} if name in TRANSLATORS else {}
    model, found = needed(spec, tokens=(B, T), **source)
    flops = sum(one.flops for one in found.values())
    assert flops == pytest.approx(B * train_flops(model, T, S if source else 0))
    assert set(found) <= set(part.ORDER) - {part.UNNAMED}


def test_the_slower_of_the_two_is_the_floor():
    assert Work(100, 30).floor(rate=10, bandwidth=2) == 15
    assert Work(100, 10).floor(rate=10, bandwidth=2) == 10
