"""The real training step of an experiment, for devices that need not be there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import re
import time
from typing import Any

import jax

from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.ops.placement import batch_shardings
from transformer.ops.target import compiling_for
from transformer.training.division import require_division
from transformer.training.experiment import Experiment
from transformer.training.sharding import placed_shapes
from transformer.training.step import start, train_step

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"


@dataclasses.dataclass(frozen=True)
class Step:
    """An experiment's step and the shapes that go into it, each with the place where it lies.

    state: as `training.step.start` makes it. batch: leaves [A, B/A, ...].
    """

    experiment: Experiment
    mesh: jax.sharding.Mesh
    state: dict
    batch: dict

    @contextlib.contextmanager
    def context(self):
        """What it is traced under: its mesh, and the kind of device that it is meant for."""
        kind = self.mesh.devices.flat[0].platform
        mesh = jax.set_mesh(self.mesh) if self.mesh.size > 1 else contextlib.nullcontext()
        with mesh, compiling_for(kind):
            yield

    @property
    def model(self) -> Model:
        """Its doors."""
        return Model(self.experiment.model)

    @property
    def run(self) -> Run:
        """How it runs."""
        return self.experiment.run or Run()


@dataclasses.dataclass(frozen=True)
class Compiled:
    """text: the program of one device. seconds: to compile it.

    total: bytes that the program has of a device where it has most: of a TPU what libtpu compares
    with its HBM, else arguments, results that do not lie in them, and all that it holds in between.
    arguments: of these.
    """

    text: str
    total: int
    arguments: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class TooLarge:
    """The compiler gave up. needed: bytes of a device, at least; None if it did not say."""

    needed: float | None
    seconds: float


def step_of(experiment: Experiment, example: dict, devices: list) -> Step:
    """The step of an experiment on these devices.

    Args:
      example: arrays of a batch of one example, `jax.ShapeDtypeStruct`s.

    Raises:
      UserError: the mesh does not divide the devices, a parameter or the rows of a slice.
    """
    mesh = experiment.mesh.build(devices)
    require_division(experiment, Model(experiment.model).shapes(), mesh)
    optimizer = experiment.optimizer.build()
    begun = jax.eval_shape(
        lambda params: start(params, optimizer, experiment.seed, experiment.average),
        Model(experiment.model).shapes())
    state = placed_shapes(begun, mesh)
    A = experiment.accumulate
    cut = {name: jax.ShapeDtypeStruct((A, experiment.batch * leaf.shape[0] // A, *leaf.shape[1:]),
                                      leaf.dtype) for name, leaf in example.items()}
    places = batch_shardings(cut, mesh, lead=1)
    batch = jax.tree.map(lambda leaf, place: jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=place), cut, places)
    return Step(experiment, mesh, state, batch)


def compiled(step: Step) -> Compiled | TooLarge:
    """Compiles it, for as long as that takes."""
    made, began = _jitted(step), time.perf_counter()
    try:
        with step.context():
            program = made.lower(step.state, step.batch).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return TooLarge(needed(str(error)), time.perf_counter() - began)
    sizes = program.memory_analysis()
    total = (sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
             - sizes.alias_size_in_bytes)
    if step.mesh.devices.flat[0].platform == "tpu":  # temporaries there count what lies apart twice
        total = sizes.peak_memory_in_bytes
    return Compiled(program.as_text(), total, sizes.argument_size_in_bytes,
                    time.perf_counter() - began)


def _jitted(step: Step) -> Any:
    """What `train.py` runs."""
    places = jax.tree.map(lambda leaf: leaf.sharding, step.state)
    return jax.jit(function(step), out_shardings=(places, None), donate_argnums=0)


def function(step: Step, run: Run | None = None):
    """(state, batch) -> (state, metrics), run as the experiment says or as `run` does."""
    experiment = step.experiment
    apply = step.model.stepped(run or step.run)
    return functools.partial(
        train_step, apply=apply, objective=experiment.objective,
        optimizer=experiment.optimizer.build(), average=experiment.average)


def needed(message: str) -> float | None:
    """Bytes that the compiler says a program wants, or some of them: its temporaries alone."""
    for words in (rf"Used {_SIZE} of", rf"temporaries \({_SIZE}\)", rf"[Tt]otal .*?{_SIZE}B?\b"):
        found = re.search(words, message)
        if found:
            return float(found[1]) * _UNITS[found[2]]
    return None


def shard_bytes(tree) -> float:
    """Bytes of one device's share of arrays that know their places."""
    total = 0.0
    for leaf in jax.tree.leaves(tree):
        width = 8 if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.dtype.itemsize
        total += math.prod(leaf.sharding.shard_shape(leaf.shape)) * width
    return total
