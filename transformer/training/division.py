"""Does the mesh divide what is laid over it? Asked when the configuration is read."""

from __future__ import annotations

import math

from transformer.error import UserError
from transformer.ops.placement import ACTIVATIONS, MAY_DROP, PARAMETERS, Misfit, fit, letters
from transformer.training import paths

MEANING = {"H": "heads", "F": "inner width", "V": "vocabulary", "D": "width"}
ROUND = 128  # what a vocabulary is rounded up to: the lanes of a TPU's matrix unit


def require_division(experiment, shapes, mesh) -> None:
    """UserError unless rows, positions and every parameter divide by their mesh axes.

    shapes: of the model's parameters. One line names the dimension, the axes, and the nearest
    sizes that would do.
    """
    slices = experiment.accumulate
    for misfit in _misfits("B", (experiment.batch // slices,), mesh):
        each = f"{misfit.size} rows" + (f" of each of {slices} slices" if slices > 1 else "")
        raise UserError(f"batch: {each} do not divide by {_axes(misfit, mesh)}; set batch to "
                        f"{_nearest(experiment.batch, misfit.ways * slices)}{_smaller(misfit)}")
    require_lengths(experiment.rows, mesh)
    require_parameters(shapes, mesh)


def require_lengths(rows, mesh) -> None:
    """UserError unless the positions of rows divide by their mesh axis."""
    for name, size in _lengths(rows):
        for misfit in _misfits("T", (size,), mesh):
            raise UserError(f"rows.{name}: {size} positions do not divide by {_axes(misfit, mesh)}"
                            f"; use {_nearest(size, misfit.ways)}{_smaller(misfit)}")


def require_parameters(shapes, mesh) -> None:
    """UserError unless every parameter divides by its mesh axes."""
    for path, leaf in paths.named(shapes).items():
        for misfit in _misfits(letters(path, leaf.ndim), leaf.shape, mesh, PARAMETERS):
            raise UserError(f"model: {MEANING[misfit.letter]} {misfit.size} of {path} does not "
                            f"divide by {_axes(misfit, mesh)}; use {_wanted(misfit)}"
                            f"{_smaller(misfit)}")


def _lengths(rows) -> list[tuple[str, int]]:
    """Every number of positions that a row may have, source sides included, with its field."""
    source = getattr(rows, "source_length", None) or rows.length
    buckets = [("buckets", width) for width in getattr(rows, "buckets", ())]
    return [("length", rows.length), ("source_length", source), *buckets, *(
        (name, -(-width * source // rows.length)) for name, width in buckets)]


def _misfits(names: str, shape, mesh, table=ACTIVATIONS) -> list[Misfit]:
    return [one for one in fit(names, shape, mesh, table)[1] if one.letter not in MAY_DROP]


def _axes(misfit: Misfit, mesh) -> str:
    return " * ".join(f"{axis}={mesh.shape[axis]}" for axis in misfit.axes)


def _wanted(misfit: Misfit) -> str:
    if misfit.letter == "V":  # rows that no token has cost little; a smaller table may lack some
        return str(_up(misfit.size, math.lcm(ROUND, misfit.ways)))
    return _nearest(misfit.size, misfit.ways)


def _nearest(size: int, ways: int) -> str:
    """The multiples of `ways` on both sides of `size`."""
    below = size // ways * ways
    return f"{below} or {below + ways}" if below else str(ways)


def _up(size: int, ways: int) -> int:
    return -(-size // ways) * ways


def _smaller(misfit: Misfit) -> str:
    """The largest axis that would do, where one axis is the matter."""
    if len(misfit.axes) > 1:
        return ""
    return f", or mesh.{misfit.axes[0]}={math.gcd(misfit.size, misfit.ways)}"
