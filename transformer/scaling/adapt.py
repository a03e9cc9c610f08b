"""A mesh and a number of slices for many devices, where the config's own do not divide them."""

from __future__ import annotations

import dataclasses
import math

from transformer.error import UserError
from transformer.ops.placement import Mesh
from transformer.scaling.memory import counted
from transformer.scaling.program import Step, shard_bytes, step_of
from transformer.training.experiment import Experiment

LANES = 128  # of a TPU's registers: shares of the width below that are gathered as whole sums


def adapted(experiment: Experiment, example: dict, devices: list, usable: float | None,
            chosen: tuple[str, ...] = ()) -> tuple[Step, list[str]]:
    """The step of an experiment, and what had to be changed for it to be one.

    The config's own mesh and slices where they divide the devices, unless they copy the parameters
    to every device (`data` alone) and what is counted then finds no room. Else parameters are split
    over all devices, by `fsdp` as far as the rows of a batch go, by `tensor` beyond, and slices are
    as large as the config's, or as that needs.

    Args:
      usable: bytes of a device; None if unknown. chosen: fields that the user has set, which stay.

    Raises:
      UserError: nothing divides, said of the config's own.
    """
    step = error = None
    try:
        step = step_of(experiment, example, devices)
        total, copied = counted(step).total, step.mesh.shape["data"] == len(devices) > 1
        if usable is None or total <= usable or not copied or "mesh" in _first(chosen):
            return step, []
        why = f"would need {total / 2**30:,.1f} GiB of each device"
    except UserError as refusal:
        error, why = refusal, f"does not divide: {str(refusal).split(';')[0]}"
    for other in _candidates(experiment, len(devices), chosen):
        try:
            found = step_of(other, example, devices)
        except UserError:
            continue
        return found, [f"{said(experiment)} {why}", f"planned with {said(other)}"]
    if step is None:
        raise error
    return step, []


def _first(chosen: tuple[str, ...]) -> set[str]:
    """Top-level fields of these paths."""
    return {path.partition(".")[0] for path in chosen}


def state_bytes(step: Step) -> float:
    """Of one device: the state and a gradient for each parameter."""
    return shard_bytes(step.state) + shard_bytes(step.state["params"])


def said(experiment: Experiment) -> str:
    """Mesh and slices as the command line takes them."""
    mesh = experiment.mesh
    sizes = [f"--mesh.{axis}={getattr(mesh, axis)}" for axis in ("data", "fsdp", "tensor",
             "sequence") if getattr(mesh, axis) != getattr(Mesh(), axis)]
    return " ".join([*sizes, f"--accumulate={experiment.accumulate}"])


def _candidates(experiment: Experiment, devices: int, chosen):
    """Experiments that may divide the devices: the least tensor parallel that leaves each device
    `LANES` of the width first."""
    mesh_is_chosen = "mesh" in _first(chosen)
    narrow = lambda tensor: width_of(experiment) // (devices // tensor) < LANES
    ways = [n for n in range(1, devices + 1) if devices % n == 0 and not n & (n - 1)]
    for tensor in sorted(ways, key=narrow):
        fsdp = devices // tensor
        mesh = experiment.mesh if mesh_is_chosen else Mesh(data=1, fsdp=fsdp, tensor=tensor)
        ways = _rows(mesh, devices)
        slices = ([experiment.accumulate] if "accumulate" in chosen else
                  slicings(experiment.batch, ways, experiment.batch // experiment.accumulate))
        for count in slices:
            yield dataclasses.replace(experiment, mesh=mesh, accumulate=count)
        if mesh_is_chosen:
            return


def width_of(experiment: Experiment) -> int:
    """D, of the smallest part of the model."""
    model = experiment.model
    parts = [getattr(model, name, None) for name in ("generator", "discriminator")]
    return min(part.embedding.width for part in ([p for p in parts if p] or [model]))


def _rows(mesh: Mesh, devices: int) -> int:
    """How many ways the rows of a batch are divided."""
    sizes = [mesh.data, mesh.fsdp, mesh.tensor, mesh.sequence]
    known = math.prod(max(size, 1) for size in sizes)
    filled = [devices // known if size == -1 else size for size in sizes]
    return filled[0] * filled[1]


def slicings(batch: int, ways: int, rows: int) -> list[int]:
    """Numbers of slices of a batch that devices divide, the size nearest above `rows` first."""
    fitting = [batch // n for n in range(1, batch + 1)
               if batch % n == 0 and batch // n % ways == 0]  # rows of a slice
    above = sorted(size for size in fitting if size >= rows)
    below = sorted((size for size in fitting if size < rows), reverse=True)
    return [batch // size for size in (*above, *below)]
