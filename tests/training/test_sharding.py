"""Everything that belongs to a parameter lies where the parameter lies."""

import functools
import math

import jax
import pytest
from families import ALL, cells, value
from jax.sharding import AbstractMesh, PartitionSpec

from transformer.nn.door import Model
from transformer.training import paths
from transformer.training.adadelta import Adadelta
from transformer.training.lamb import LAMB
from transformer.training.optimizer import SGD, Adafactor, AdamW, GPT1Adam, Lion
from transformer.training.palm_adafactor import PaLMAdafactor
from transformer.training.schedule import Constant
from transformer.training.sharding import state_shardings
from transformer.training.step import start

RATE = dict(learning_rate=Constant(peak=1.0))
MESH = AbstractMesh((2, 2, 2, 1), ("data", "fsdp", "tensor", "sequence"))
WHOLE = (AdamW(**RATE), AdamW(**RATE, correct_bias=False), GPT1Adam(**RATE), LAMB(**RATE),
         Lion(**RATE), Adadelta(**RATE), PaLMAdafactor(), SGD(**RATE, momentum=0.9),
         AdamW(**RATE, freeze=("embedding",), layer_decay=0.8), Adafactor(**RATE, smallest=10_000))


@functools.cache
def shapes(name):
    return Model(value(name)).shapes()


def laid(name: str, optimizer) -> tuple[dict, dict]:
    """{path: leaf} and {path: sharding} of a state with an average."""
    state = jax.eval_shape(lambda params: start(params, optimizer.build(), 0, 0.9), shapes(name))
    return paths.named(state), paths.named(state_shardings(state, MESH))


def share(leaves: dict, places: dict) -> float:
    """Of the bytes of these leaves, what one device holds."""
    one = sum(math.prod(places[path].shard_shape(leaf.shape)) for path, leaf in leaves.items())
    return one / sum(leaf.size for leaf in leaves.values())


@pytest.mark.parametrize("optimizer", WHOLE, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("name", cells(ALL, ("albert", "rnn")))
def test_moments_and_averages_lie_as_their_parameters(name, optimizer):
    leaves, places = laid(name, optimizer)
    parameters = {p.removeprefix("params/"): places[p] for p in leaves if p.startswith("params/")}
    assert any(place.spec != PartitionSpec() for place in parameters.values())
    belonging = 0
    for path, leaf in leaves.items():
        owner = [p for p in parameters if f"/{p}/" in f"/{path}/"]
        if path.startswith("opt/") and leaf.ndim:
            assert owner, path  # no array of an optimizer belongs to nothing
        if owner and leaf.shape == leaves[f"params/{max(owner, key=len)}"].shape:
            assert places[path].spec == parameters[max(owner, key=len)].spec, path
            belonging += not path.startswith("params/")
    assert belonging >= len(parameters)  # the average at least


def test_a_factor_keeps_the_axes_of_the_dimensions_it_keeps():
    """Of [L, D, H, K] rows and columns are of D and of H K, of [L, D, F] of D and F."""
    _, places = laid("gpt2", Adafactor(**RATE, smallest=32))
    moments = {path.split("moments/")[1]: place.spec for path, place in places.items()
               if "moments/" in path}
    layer = "stack/segment_0/0_"
    D, split = PartitionSpec(None, "fsdp"), PartitionSpec(None, "tensor")
    assert {moments[f"{layer}attention/query/{part}"] for part in ("rows", "columns")} == {D, split}
    assert {moments[f"{layer}attention/out/{part}"] for part in ("rows", "columns")} == {D, split}
    assert moments[f"{layer}feedforward/up/rows"] == D
    assert moments[f"{layer}feedforward/up/columns"] == split
    assert moments[f"{layer}feedforward/down/rows"] == D
    assert moments[f"{layer}feedforward/down/columns"] == split
    assert moments["embedding/tokens/rows"] == PartitionSpec("fsdp")
    assert moments["embedding/tokens/columns"] == PartitionSpec("tensor")


@pytest.mark.parametrize("name", cells(ALL, ("t5",)))
def test_factors_are_shared_out(name):
    leaves, places = laid(name, Adafactor(**RATE, smallest=32))
    factors = {path: leaf for path, leaf in leaves.items() if path.endswith(("rows", "columns"))}
    assert factors and share(factors, places) < 0.6  # each keeps one of the two axes
