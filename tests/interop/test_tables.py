"""The name tables: complete on both sides, and the same there and back."""

import dataclasses

import numpy as np
import pytest
from tiny_configs import CONFIGS, labelled

from transformer.interop.anatomy import differences
from transformer.interop.config import Config
from transformer.interop.counterpart import counterpart
from transformer.interop.family import known
from transformer.interop.table import described, parameters, tensor
from transformer.nn.door import Model
from transformer.training import paths

CLASSES = [(family, name) for family in known().values() for name in family.architectures]


def model_of(family, name, **more):
    """(config, spec) of a tiny model of one class; its output is tied where config.json says so."""
    heads, tree = family.architectures[name], {**CONFIGS[family.model_type], **more}
    tied = family.forced or tree.get("tie_word_embeddings", family.ties)
    config = Config({**labelled(heads), **tree}, "config.json", name, tied)
    return config, family.spec(config, heads)


@pytest.fixture(params=CLASSES, ids=lambda pair: pair[1], scope="module")
def each(request):
    family, name = request.param
    config, spec = model_of(family, name)
    return family, name, config, spec, paths.named(Model(spec).shapes())


def test_every_name_matches_exactly_once(each):
    family, _, _, spec, shapes = each
    rows = family.rows(spec)
    assert sorted(path for row in rows for path in row.ours) == sorted(shapes)
    theirs = [name for row in rows for name in row.names()]
    assert len(theirs) == len(set(theirs))
    layers = {row.theirs: list(row.names()) for row in rows if row.layers is not None}
    assert all(len(names) == len(set(names)) for names in layers.values())


class Held:
    """Tensors by name, in memory."""

    where = "memory"

    def __init__(self, tensors):
        self.tensors, self.names = tensors, frozenset(tensors)

    def shape(self, name):
        return self.tensors[name].shape

    def dtype(self, name):
        return self.tensors[name].dtype

    def read(self, name):
        return self.tensors[name]


def drawn(shapes):
    draw = np.random.default_rng(0)
    return {path: draw.standard_normal(leaf.shape).astype(np.float32)
            for path, leaf in shapes.items()}


def test_there_and_back_is_the_same(each):
    family, _, _, spec, shapes = each
    ours, rows = drawn(shapes), family.rows(spec)
    theirs = {name: np.ascontiguousarray(tensor(row, ours, n))
              for row in rows for n, name in enumerate(row.names())}
    assert {name: (t.dtype, t.shape) for name, t in theirs.items()} == described(rows, ours)
    again = parameters(rows, shapes, Held(theirs))
    assert all(np.array_equal(again[path], ours[path]) for path in ours)


def test_its_config_gives_the_same_model(each):
    family, name, config, spec, shapes = each
    ours = {path: np.empty(leaf.shape, np.float32) for path, leaf in shapes.items()}
    found = counterpart(spec, ours, None, {})
    assert found.params.keys() == ours.keys() and found.notes == []
    tree = {**found.tree, **{n: v for n, v in config.tree.items() if n == "id2label"}}
    names = frozenset(n for row in found.rows for n in row.names())
    again = found.family.spec(dataclasses.replace(
        config, tree=tree, architecture=found.architecture, names=names),
        found.family.architectures[found.architecture])
    assert differences(spec, again) == []
    # Marian without its positions' table, T5's encoder and the like are of one family only
    assert found.family is family or name in ("BartModel", "MarianModel")
