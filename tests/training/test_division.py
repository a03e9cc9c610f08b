"""What a mesh does not divide is refused with one line, before any text is read."""

import dataclasses
import functools

import pytest
from jax.sharding import AbstractMesh

from transformer.data.chunks import Chunks
from transformer.data.packing import Packed
from transformer.data.padding import Padded
from transformer.data.source import Text
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.nn.door import Model
from transformer.objectives.next_token import NextToken
from transformer.objectives.span_corruption import SpanCorruption
from transformer.ops.placement import Mesh
from transformer.training.division import require_division
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.llama import llama
from transformer.zoo.t5 import t5

SMALL = dict(width=64, depth=1, heads=8, vocab=512)
BASE = Experiment(model=gpt2(**SMALL, length=64), data=Text(path="not there"), tokenizer=Bytes(),
                  rows=Chunks(length=64), objective=NextToken(), steps=1, batch=16,
                  optimizer=AdamW(learning_rate=Constant(peak=1e-3)))


@functools.cache
def shapes(spec):
    return Model(spec).shapes()


def require(sizes: dict, **fields):
    experiment = dataclasses.replace(BASE, **fields)
    names = ("data", "fsdp", "tensor", "sequence")
    mesh = AbstractMesh(tuple(sizes.get(name, 1) for name in names), names)
    require_division(experiment, shapes(experiment.model), mesh)


@pytest.mark.parametrize("sizes, fields, line", [
    (dict(data=4, fsdp=2), dict(batch=12), "batch: 12 rows do not divide by data=4 * fsdp=2; set "
     "batch to 8 or 16"),
    (dict(data=8), dict(batch=24, accumulate=2), "batch: 12 rows of each of 2 slices do not divide "
     "by data=8; set batch to 16 or 32, or mesh.data=4"),
    (dict(data=8), dict(batch=4), "batch: 4 rows do not divide by data=8; set batch to 8, or "
     "mesh.data=4"),
    (dict(sequence=8), dict(rows=Chunks(length=60)), "rows.length: 60 positions do not divide by "
     "sequence=8; use 56 or 64, or mesh.sequence=4"),
    (dict(sequence=4), dict(rows=Packed(length=64, source_length=30)), "rows.source_length: 30 "
     "positions do not divide by sequence=4; use 28 or 32, or mesh.sequence=2"),
    (dict(sequence=4), dict(rows=Padded(length=64, buckets=(10, 32))), "rows.buckets: 10 positions "
     "do not divide by sequence=4; use 8 or 12, or mesh.sequence=2"),
    (dict(sequence=4), dict(rows=Chunks(length=568), objective=SpanCorruption()), "rows.length="
     "568: SpanCorruption makes rows of 114 positions of them, which do not divide by sequence=4; "
     "use other rows, or mesh.sequence=2"),
    (dict(tensor=8), dict(model=gpt2(**{**SMALL, "vocab": 50257})), "model: vocabulary 50257 of "
     "embedding/tokens does not divide by tensor=8; use 50304, or mesh.tensor=1"),
    (dict(tensor=3), dict(model=gpt2(**{**SMALL, "vocab": 384})), "model: heads 8 of stack/"
     "segment_0/0_attention/out does not divide by tensor=3; use 6 or 9, or mesh.tensor=1"),
    (dict(tensor=8), dict(model=t5(**SMALL, head_dim=8, hidden=100)), "model: inner width 100 of "
     "decoder/segment_0/0_feedforward/down does not divide by tensor=8; use 96 or 104, or "
     "mesh.tensor=4"),
    (dict(fsdp=5), dict(batch=20), "model: width 64 of embedding/positions does not divide by "
     "fsdp=5; use 60 or 65, or mesh.fsdp=1"),
])
def test_what_does_not_divide_is_named_with_what_would(sizes, fields, line):
    with pytest.raises(UserError) as error:
        require(sizes, **fields)
    assert str(error.value) == line


def test_fewer_key_value_heads_than_the_axis_are_no_mistake():
    require(dict(tensor=8), model=llama(**SMALL, kv_heads=2, hidden=64))


def test_what_divides_is_taken():
    for axis in ("data", "fsdp", "tensor", "sequence"):
        require({axis: 8})
    require(dict(data=2, fsdp=2, tensor=4, sequence=4), accumulate=2)


@pytest.mark.parametrize("size", [0, -2])
def test_an_axis_has_devices(size):
    with pytest.raises(UserError, match=rf"mesh.tensor is {size}; give a number of devices, or -1"):
        Mesh(tensor=size)
