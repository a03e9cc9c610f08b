"""No field is decoration: changing it changes parameters or computation, or is refused."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re

import jax
import jax.numpy as jnp
import pytest

import transformer.nn
from transformer.error import UserError
from transformer.nn.boundary import Boundary
from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.nn.alignment import NoAttention, Summary
from transformer.nn.head import Classes, NoPooler, Pooler, TokenClasses, Transform
from transformer.nn.bias import RelativeBias
from transformer.nn.initial import FanIn, Glorot, Normal, Orthogonal, Truncated, Zeros
from transformer.nn.norm import LayerNorm, NoNorm, RMSNorm
from transformer.nn.position import (
    LinearScaling, Llama3Scaling, NoPosition, Rotary, Sinusoidal, Unscaled,
)
from transformer.nn.readout import Copied, Maxout, Projected, Shown
from transformer.nn.residual import FirstBare, ParallelNorm, PostNorm, PreNorm
from transformer.ops.placement import Mesh
from transformer.ops.reach import Causal, Everywhere, Prefix
from transformer.spec import Spec, override
from transformer.zoo.albert import albert
from transformer.zoo.bart import bart
from transformer.zoo.bert import MASKED, NEXT_SENTENCE, bert
from transformer.zoo.electra import electra
from transformer.zoo.gemma import gemma
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.llama import llama
from transformer.zoo.modernbert import modernbert
from transformer.zoo.neox import neox
from transformer.zoo.palm import palm
from transformer.zoo.rnn import rnn
from transformer.zoo.t5 import t5
from transformer.zoo.vaswani import vaswani

LABELS = (("classes", Classes(classes=3)), ("tags", TokenClasses(classes=3)),
          ("boundary", Boundary()))
TRANSFORMED = (("tags", TokenClasses(classes=3, transform=Transform())),)
ROTARY = "stack.segments.0.pattern.0.sublayers.attention.rotary"
REACH = ROTARY.replace("rotary", "reach")
VALUES = (
    albert("tiny"), bert("nano", outputs=(MASKED, NEXT_SENTENCE, *LABELS)), gpt1("tiny"),
    gpt2("tiny"), llama("tiny"), vaswani("tiny"), bart("tiny"), electra("tiny"), gemma("tiny"),
    gpt3("tiny"), modernbert("tiny", outputs=TRANSFORMED), neox("tiny"), palm("tiny"), t5("tiny"),
    override(llama("tiny"), f"{ROTARY}.scaling", "LinearScaling(factor=2.0)"),
    override(llama("tiny"), f"{ROTARY}.scaling", "Llama3Scaling(length=64)"),
    override(gpt2("tiny"), REACH, "Either(one=Causal(), other=Prefix())"),
    override(gpt2("tiny"), REACH, "Both(one=Causal(), other=Global(count=1))"),
    *(rnn(style=style, width=8, embedding=8, hidden=8, vocab=16)
      for style in ("bahdanau", "cho", "sutskever")),
)
# A spec of another kind (or none) that fits where this kind is, for fields that hold a spec.
OTHER = {
    Normal: Truncated(), Truncated: Normal(), Glorot: Normal(), LayerNorm: RMSNorm(),
    RMSNorm: LayerNorm(), NoNorm: LayerNorm(), NoPosition: Sinusoidal(), Sinusoidal: NoPosition(),
    Rotary: None, Causal: Everywhere(), Everywhere: Causal(), Pooler: NoPooler(),
    NoPooler: Pooler(), PreNorm: PostNorm(norm=RMSNorm()), PostNorm: PreNorm(norm=RMSNorm()),
    FirstBare: PreNorm(norm=RMSNorm()), ParallelNorm: PreNorm(norm=RMSNorm()), FanIn: Normal(),
    Unscaled: LinearScaling(factor=2.0), LinearScaling: Unscaled(), Llama3Scaling: Unscaled(),
    Prefix: Everywhere(), Zeros: Normal(), Orthogonal: Normal(), Copied: Projected(),
    Projected: Copied(), Shown: Maxout(hidden=8), NoAttention: Summary(), Summary: NoAttention(),
}
WHEN_NONE = {"out_init": Normal(std=0.03), "position_init": Normal(std=0.03), "rotary": Rotary(),
             "scale": 0.3, "kv_heads": 2, "head_dim": 24, "query_init": Normal(std=0.03),
             "project_init": Normal(std=0.03), "rank": 16, "bias": RelativeBias(heads=4),
             "source_embedding": bart("tiny").embedding, "length": 4,
             "recurrent_init": Normal(std=0.03), "transform": Transform()}


def another(spec, field):
    """Some other value of this field of this spec."""
    old = getattr(spec, field)
    if old is None:
        return WHEN_NONE[field]
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return 2 * old or type(old)(0.25 if isinstance(old, float) else 2)
    if field == "over":
        return "mean"
    if isinstance(old, str):
        return "silu" if old != "silu" else "relu"
    if field == "shared":
        return () if old else ("attention",)
    if isinstance(old, tuple):
        return old * 2 if old and isinstance(old[0], Spec) else old[:-1]
    if type(old) in OTHER:
        return OTHER[type(old)]
    inner = dataclasses.fields(old)[0].name  # a tree of its own: change its first field
    return dataclasses.replace(old, **{inner: another(old, inner)})


def places(value, path=()):
    """(path, spec) of every spec in the tree."""
    if isinstance(value, Spec):
        yield path, value
        children = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    else:
        children = list(enumerate(value)) if isinstance(value, tuple) else []
    for name, child in children:
        yield from places(child, (*path, name))


def put(value, path, new):
    """The tree with another value at a path."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, tuple):
        return (*value[:first], put(value[first], rest, new), *value[first + 1:])
    return dataclasses.replace(value, **{first: put(getattr(value, first), rest, new)})


def first_places():
    """{(kind, field): (value, path)}: where each field of each kind first occurs."""
    found = {}
    for value in VALUES:
        for path, spec in places(value):
            for field in dataclasses.fields(spec):
                found.setdefault((type(spec).__name__, field.name), (value, path))
    return found


PLACES = first_places()


def traces(spec, run=Run()):
    """What a value computes, part by part: shapes, initial values, one noisy forward pass."""
    model = Model(spec)
    tokens = jnp.zeros((2, 6), jnp.int32)
    batch = {"tokens": tokens, "types": tokens, "masked": tokens[:, :2], "prefix": tokens}
    if "source_tokens" in model.example():
        batch |= {"source_tokens": tokens[:, :5]}
    begin, shapes = jax.make_jaxpr(model.init, return_shape=True)(jax.random.key(0))
    yield shapes
    yield without_addresses(begin)
    apply = jax.make_jaxpr(lambda p, b, k: model.apply(p, b, k, run))
    yield without_addresses(apply(shapes, batch, jax.random.key(0)))


def without_addresses(jaxpr) -> str:
    return re.sub(r"0x[0-9a-f]+", "", str(jaxpr))


@pytest.fixture(scope="module")
def changes():
    """changes(value, other, run): whether they compute something else. Stops at the first part."""
    known = {}

    def changes(value, other, run=Run()):
        if value not in known:
            known[value] = tuple(traces(value))
        return any(new != old for new, old in zip(traces(other, run), known[value]))

    return changes


@pytest.mark.parametrize("kind,field", [pytest.param(*p, id=".".join(p)) for p in PLACES])
def test_a_changed_field_is_seen_or_refused(changes, kind, field):
    value, path = PLACES[kind, field]
    spec = dict(places(value))[path]
    try:
        assert changes(value, put(value, (*path, field), another(spec, field)))
    except UserError:
        return


@pytest.mark.parametrize("value", VALUES[1:6], ids=["bert", "gpt1", "gpt2", "llama", "vaswani"])
def test_the_same_value_computes_the_same(changes, value):
    """Otherwise the test above would see a change everywhere."""
    assert not changes(value, put(value, (), value))


@pytest.mark.parametrize("change", [dict(dtype="bfloat16"), dict(remat="dots"), dict(remat="full"),
                                    dict(unroll=2), dict(unroll=4), dict(attention="xla")], ids=str)
def test_every_way_to_run_is_seen(changes, change):
    assert changes(VALUES[2], VALUES[2], Run(**change))


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Mesh)])
def test_every_mesh_axis_is_refused_without_devices(field):
    with pytest.raises(UserError):
        Mesh(**{field: 2}).build(jax.devices()[:1])


def test_no_kind_was_forgotten():
    """Every spec of an architecture occurs above, but for bases, which only their heirs use."""
    names = [m.name for m in pkgutil.iter_modules(transformer.nn.__path__, "transformer.nn.")]
    modules = [importlib.import_module(name) for name in (*names, "transformer.ops.reach")]
    kinds = {kind for module in modules for kind in vars(module).values()
             if isinstance(kind, type) and issubclass(kind, Spec)
             and kind.__module__ == module.__name__}
    bases = {base for kind in kinds for base in kind.__bases__}
    fields = {(kind.__name__, field.name) for kind in kinds - bases - {Run}
              for field in dataclasses.fields(kind)}
    assert fields <= set(PLACES), fields - set(PLACES)
