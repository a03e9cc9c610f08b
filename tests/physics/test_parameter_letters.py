"""One table says what every dimension of every parameter is; the mesh is laid over its letters."""

import dataclasses
import functools
import re

import jax
import pytest
from families import ALL
from jax.sharding import AbstractMesh, PartitionSpec

from transformer.error import UserError
from transformer.nn.boundary import Boundary
from transformer.nn.door import Model
from transformer.nn.head import Classes, TokenClasses
from transformer.nn.model import Pair
from transformer.ops.placement import ACTIVATIONS, LETTERS, PARAMETERS, Mesh, letters, place
from transformer.zoo.albert import albert
from transformer.zoo.bart import bart
from transformer.zoo.bert import MASKED, NEXT_SENTENCE, bert
from transformer.zoo.distilbert import distilbert
from transformer.zoo.distilgpt2 import distilgpt2
from transformer.zoo.electra import electra
from transformer.zoo.gemma import gemma
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.llama import llama
from transformer.zoo.marian import marian
from transformer.zoo.modernbert import modernbert
from transformer.zoo.neox import neox
from transformer.zoo.palm import palm
from transformer.zoo.qwen3 import qwen3
from transformer.zoo.rnn import STYLES, rnn
from transformer.zoo.roberta import roberta
from transformer.zoo.t5 import t5
from transformer.zoo.vaswani import vaswani

# No two sizes are equal, so a wrong letter has a wrong size.
SIZES = {"V": 101, "D": 48, "H": 6, "K": 8, "L": 2, "F": 192}
HALF = {"D": 24, "H": 3, "G": 3, "F": 96}  # of a generator beside them
LENGTH, CLASSES, BUCKETS, GATES = 30, 5, 32, (3, 4)
MIXED = 2 * SIZES["D"] + LENGTH  # two vectors of the stream and a place in the span
NAMED = dict(width=SIZES["D"], depth=SIZES["L"], heads=SIZES["H"], vocab=SIZES["V"])
HEADS = (("classes", Classes(classes=CLASSES)), ("tags", TokenClasses(classes=CLASSES)),
         ("boundary", Boundary(width=LENGTH, longest=CLASSES)))
SPECS = {
    "gpt1": (gpt1(**NAMED, length=LENGTH), {}),
    "gpt2": (gpt2(**NAMED, length=LENGTH), {}),
    "llama": (llama(**NAMED, kv_heads=3, hidden=40), {"G": 3, "F": 40}),
    "bert": (bert(**NAMED, length=LENGTH, outputs=(MASKED, NEXT_SENTENCE, *HEADS)), {}),
    "vaswani": (vaswani(**NAMED, hidden=40), {"F": 40}),
    "albert": (albert(**NAMED, rank=20, length=LENGTH, shared=("attention",)), {"R": 20}),
    "t5": (t5(**NAMED, head_dim=8, hidden=40), {"F": 40}),
    "qwen3": (qwen3(**NAMED, kv_heads=3, head_dim=8, hidden=40), {"G": 3, "F": 40}),
    "electra": (electra(**NAMED, rank=20, length=LENGTH, generator=0.5), {"R": 20}),
    "distilgpt2": (distilgpt2(**NAMED, length=LENGTH), {}),
    "gpt3": (gpt3(**{**NAMED, "depth": 4}, length=LENGTH), {}),
    "palm": (palm(**NAMED, head_dim=8), {"G": 1}),
    "neox": (neox(**NAMED), {}),
    "gemma": (gemma(**NAMED, kv_heads=3, head_dim=8, hidden=40), {"G": 3, "F": 40}),
    "distilbert": (distilbert(**NAMED, length=LENGTH, pooler=True), {}),
    "roberta": (roberta(**NAMED, length=LENGTH, offset=0), {}),
    "modernbert": (modernbert(**{**NAMED, "depth": 7}, hidden=40, pooler=True), {"F": 40}),
    "bart": (bart(**NAMED, hidden=40, length=LENGTH, offset=0, bias=True), {"F": 40}),
    "marian": (marian(**NAMED, hidden=40), {"F": 40}),
    # what comes into a layer may be a token, a state, a state each way, or maxout units
    **{f"rnn, {style}": (rnn(style=style, width=40, embedding=48, depth=2, hidden=20, vocab=101),
                         {"D": {48, 40, 80, 20, 100}, "F": {40, 20}}) for style in STYLES},
}


@functools.cache
def paths(spec):
    leaves = jax.tree_util.tree_leaves_with_path(Model(spec).shapes())
    return {jax.tree_util.keystr(p, simple=True, separator="/"): v.shape for p, v in leaves}


@pytest.mark.parametrize("name", SPECS)
def test_every_parameter_matches_one_row_with_its_sizes(name):
    spec, own = SPECS[name]
    for path, shape in paths(spec).items():
        sizes = {**SIZES, "G": SIZES["H"], **own, **(HALF if path.startswith("generator") else {})}
        sizes["L"] = repeats(spec, path)
        # a dot stands for a dimension that is never split
        free = {*one(sizes["D"]), sizes["K"], sizes.get("R"), LENGTH, CLASSES, 1, 2, BUCKETS,
                MIXED, *GATES}
        row = letters(path, len(shape))
        assert len(row) == len(shape), path
        assert row.startswith("L") == ("segment_" in path), path
        for letter, size in zip(row, shape):
            # the tables of a rank have it for a width
            table = letter == "D" and re.search("embedding/(tokens|types|positions)$", path)
            wanted = sizes.get("R", sizes["D"]) if table else sizes.get(letter)
            assert size in (free if letter == "." else one(wanted)), (path, row, shape)


def one(size):
    """A letter's size, or its sizes, as a set."""
    return size if isinstance(size, set) else {size}


def repeats(spec, path):
    """How many layers the leaf at this path holds; None if it is in no segment."""
    here = re.search(r"(\w+)/segment_(\d+)/", path)
    owner = getattr(spec, path.split("/")[0]) if isinstance(spec, Pair) else spec
    return here and getattr(owner, here[1]).segments[int(here[2])].repeats


def test_no_family_is_without_letters():
    assert {name.split(",")[0] for name in SPECS} == set(ALL)


def test_a_bias_has_the_letters_of_its_weight():
    for name, (spec, _) in SPECS.items():
        shapes = paths(spec)
        for path in shapes:
            weight = path.removesuffix("_bias")
            if weight in shapes and weight != path:
                bias = letters(path, len(shapes[path])).lstrip("L.")
                assert letters(weight, len(shapes[weight])).endswith(bias), (name, path)


def test_every_row_is_needed():
    used = set()
    for spec, _ in SPECS.values():
        for path in paths(spec):
            used |= {p for p, _ in LETTERS if re.search(rf"(^|[/_]){p}$", path)}
    assert used == {pattern for pattern, _ in LETTERS}


def test_an_unknown_parameter_is_refused():
    with pytest.raises(KeyError, match="0 rows"):
        letters("segment_0/0_memory/gate", 3)


MESH = AbstractMesh((2, 2, 2, 2), ("data", "fsdp", "tensor", "sequence"))


def test_parameters_split_over_tensor_and_width():
    assert place("LDHK", (2, 8, 4, 3), MESH, PARAMETERS) == PartitionSpec(
        None, "fsdp", "tensor", None)
    assert place("VD", (6, 4), MESH, PARAMETERS) == PartitionSpec("tensor", "fsdp")


def test_activations_split_over_rows_positions_and_heads():
    assert place("BTHK", (4, 2, 4, 3), MESH, ACTIVATIONS) == PartitionSpec(
        ("data", "fsdp"), "sequence", "tensor", None)
    assert place("BTD", (4, 2, 8), MESH, ACTIVATIONS) == PartitionSpec(
        ("data", "fsdp"), "sequence", None)


def test_one_key_value_head_is_replicated():
    assert place("DGK", (8, 1, 3), MESH, PARAMETERS) == PartitionSpec("fsdp", None, None)


@pytest.mark.parametrize("row,shape,table,name,size,axes,ways", [
    ("BT", (6, 8), ACTIVATIONS, "B", 6, r"data\+fsdp", 4),
    ("BT", (8, 7), ACTIVATIONS, "T", 7, "sequence", 2),
    ("DHK", (8, 3, 4), PARAMETERS, "H", 3, "tensor", 2),
    ("DF", (8, 5), PARAMETERS, "F", 5, "tensor", 2),
    ("VD", (257, 8), PARAMETERS, "V", 257, "tensor", 2),
    ("VD", (256, 9), PARAMETERS, "D", 9, "fsdp", 2),
])
def test_indivisible_dimension(row, shape, table, name, size, axes, ways):
    message = (f"dimension {name} of size {size} does not divide by {ways}, the mesh axes {axes}; "
               f"use a multiple of {ways}")
    with pytest.raises(UserError, match=message):
        place(row, shape, MESH, table)


@pytest.mark.parametrize("sizes", [dict(data=2), dict(data=-1, fsdp=-1), dict(tensor=3)])
def test_mesh_that_does_not_fit(sizes):
    with pytest.raises(UserError, match="does not fit 1 devices; let the sizes multiply"):
        Mesh(**sizes).build(jax.devices()[:1])


def test_mesh_takes_what_is_left():
    mesh = dataclasses.replace(Mesh(), data=-1).build(jax.devices()[:1])
    assert dict(mesh.shape) == {"data": 1, "fsdp": 1, "tensor": 1, "sequence": 1}
