"""Where every array of a training state lies: parameters, averages, moments and their factors."""

from __future__ import annotations

import jax
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from transformer.ops.placement import parameter_shardings
from transformer.training import paths
from transformer.training.adafactor import kept_dimensions


def state_shardings(state, mesh):
    """NamedShardings for a state as from `training.step.start`, arrays or shapes.

    What is named after a parameter and has its shape lies as the parameter does: moments and
    averages. A factor of a second moment (`adafactor`) keeps the axes of the dimensions that it
    keeps. Counts and keys are on every device.

    Raises:
      UserError: an axis of the mesh does not divide a dimension, see `ops.placement.place`.
    """
    parameters = {path: (leaf.shape, sharding.spec) for (path, leaf), sharding in zip(
        paths.named(state["params"]).items(),
        paths.named(parameter_shardings(state["params"], mesh)).values(), strict=True)}
    specs = {path: _spec(path, leaf, parameters) for path, leaf in paths.named(state).items()}
    return paths.like(state, {path: NamedSharding(mesh, spec) for path, spec in specs.items()})


def placed_shapes(state, mesh):
    """The state as `jax.ShapeDtypeStruct`s that say where they lie."""
    places = state_shardings(state, mesh)
    if mesh.size == 1:
        places = jax.tree.map(lambda _: SingleDeviceSharding(mesh.devices.item()), places)
    return jax.tree.map(lambda leaf, place: jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=place), state, places)


def _spec(path: str, leaf, parameters) -> PartitionSpec:
    names = path.split("/")
    for first in range(len(names)):
        for last in (len(names), len(names) - 1):
            owner, part = "/".join(names[first:last]), "/".join(names[last:])
            if owner not in parameters:
                continue
            shape, spec = parameters[owner]
            if leaf.shape == shape:
                return spec
            if part:
                return PartitionSpec(*(spec[n] for n in kept_dimensions(owner, shape)[part]))
    return PartitionSpec()
