"""The state before the first step, every array made in the place where it will lie.

Random numbers are threefry's, partitionable: a device draws its own share of them, and a parameter
has the same values on any mesh.
"""

from __future__ import annotations

from pathlib import Path

import jax

from transformer.nn.door import Model
from transformer.training import paths
from transformer.training.experiment import Experiment
from transformer.training.sharding import placed_shapes
from transformer.training.step import start
from transformer.wiring import transfer


def planned(model: Model, optimizer, experiment: Experiment, mesh):
    """The state of this run as shapes that say where they will lie."""
    return placed_shapes(jax.eval_shape(_starting(optimizer, experiment), model.shapes()), mesh)


def begin(model: Model, optimizer, experiment: Experiment, base: Path | None, abstract):
    """(the state before the first step, paths of the parameters that `base` did not have).

    No device ever holds more than its share, as `abstract` (from `planned`) names it. What `base`
    has is read from there straight into its place, and only the rest is drawn.
    """
    params, fresh = abstract["params"], list(paths.named(abstract["params"]))
    if base is not None:
        params, fresh = transfer(params, base)
    drawn = drawing(model, abstract["params"], fresh)(jax.random.key(experiment.seed))
    params = paths.like(params, paths.named(params) | drawn)
    others = {name: part for name, part in abstract.items() if name != "params"}
    rest = lambda params: {name: _starting(optimizer, experiment)(params)[name] for name in others}
    state = {"params": params, **jax.jit(rest, out_shardings=places(others))(params)}
    return state, fresh if base is not None else []


def drawing(model: Model, abstract, names):
    """The compiled function from a key to {path: parameter} for these paths, each in its place."""
    where = paths.named(places(abstract))

    def draw(key):
        made = paths.named(model.init(key))
        return {name: made[name] for name in names}

    return jax.jit(draw, out_shardings={name: where[name] for name in names})


def _starting(optimizer, experiment: Experiment):
    return lambda params: start(params, optimizer, experiment.seed, experiment.average)


def places(abstract):
    """Where each of these arrays lies. A step that does not keep to it would compile twice."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract)
