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
    require_lengths(experiment, mesh)
    require_parameters(shapes, mesh)


def require_lengths(experiment, mesh) -> None:
    """UserError unless the positions that the model reads of rows divide by their mesh axis."""
    for name, width, size in _lengths(experiment.rows, experiment.objective):
        for misfit in _misfits("T", (size,), mesh):
            if width != size:
                raise UserError(
                    f"rows.{name}={width}: {type(experiment.objective).__name__} makes rows of "
                    f"{size} positions of them, which do not divide by {_axes(misfit, mesh)}; use "
                    f"other rows{_smaller(misfit)}")
            raise UserError(f"rows.{name}: {size} positions do not divide by {_axes(misfit, mesh)}"
                            f"; use {_nearest(size, misfit.ways)}{_smaller(misfit)}")


def require_parameters(shapes, mesh) -> None:
    """UserError unless every parameter divides by its mesh axes."""
    for path, leaf in paths.named(shapes).items():
        for misfit in _misfits(letters(path, leaf.ndim), leaf.shape, mesh, PARAMETERS):
            raise UserError(f"model: {MEANING[misfit.letter]} {misfit.size} of {path} does not "
                            f"divide by {_axes(misfit, mesh)}; use {_wanted(misfit)}"
                            f"{_smaller(misfit)}")


def _lengths(rows, objective) -> list[tuple[str, int, int]]:
    """(field, its width, positions that the model reads) of all that rows may have, sources too."""
    source, found = getattr(rows, "source_length", None), []
    widths = [("length", rows.length), *(("buckets", w) for w in getattr(rows, "buckets", ()))]
    for name, width in widths:
        own = None if source is None else -(-width * source // rows.length)
        read = objective.read(width, own)
        of = "source_length" if source and name == "length" else name
        found += [(name, width, read[0]), (of, own or width, read[1])]
    return found


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
