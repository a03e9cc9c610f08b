"""A mesh and a number of slices for many devices, where the config's own do not divide them."""

from __future__ import annotations

import dataclasses

from transformer.error import UserError
from transformer.ops.placement import Mesh
from transformer.scaling.program import Step, shard_bytes, step_of
from transformer.training.experiment import Experiment


def adapted(experiment: Experiment, example: dict, devices: list, usable: float | None,
            chosen: tuple[str, ...] = ()) -> tuple[Step, list[str]]:
    """The step of an experiment, and what had to be changed for it to be one.

    The config's own mesh and slices where they divide the devices and the state has room. Else
    parameters are split over all devices, by `fsdp` as far as the rows of a batch go, by `tensor`
    beyond, and slices are as large as the config's, or as that needs.

    Args:
      usable: bytes of a device; None if unknown. chosen: fields that the user has set, which stay.

    Raises:
      UserError: nothing divides, said of the config's own.
    """
    first, step = None, None
    try:
        step = step_of(experiment, example, devices)
        if len(devices) == 1 or usable is None or state_bytes(step) < usable:
            return step, []
        why = f"{state_bytes(step) / 2**30:,.1f} GiB of parameters, optimizer and gradients each"
    except UserError as error:
        first, why = error, str(error).split(";")[0]
    for other in _candidates(experiment, len(devices), chosen):
        try:
            found = step_of(other, example, devices)
        except UserError:
            continue
        return found, [f"{said(experiment)} would be {why}" if first is None else
                       f"{said(experiment)} does not divide: {why}", f"planned with {said(other)}"]
    if step is None:
        raise first
    return step, []


def state_bytes(step: Step) -> float:
    """Of one device: the state and a gradient for each parameter."""
    return shard_bytes(step.state) + shard_bytes(step.state["params"])


def said(experiment: Experiment) -> str:
    """The fields as the command line takes them."""
    mesh = experiment.mesh
    sizes = [f"--mesh.{axis}={getattr(mesh, axis)}" for axis in ("data", "fsdp", "tensor",
             "sequence") if getattr(mesh, axis) != getattr(Mesh(), axis)]
    return " ".join([*sizes, f"--accumulate={experiment.accumulate}"])


def _candidates(experiment: Experiment, devices: int, chosen):
    """Experiments that divide the devices, the least tensor parallel first."""
    mesh_is_chosen = any(path.partition(".")[0] == "mesh" for path in chosen)
    for tensor in (n for n in range(1, devices + 1) if devices % n == 0 and not n & (n - 1)):
        fsdp = devices // tensor
        mesh = experiment.mesh if mesh_is_chosen else Mesh(data=1, fsdp=fsdp, tensor=tensor)
        ways = _rows(mesh, devices)
        slices = ([experiment.accumulate] if "accumulate" in chosen else
                  slicings(experiment.batch, ways, experiment.batch // experiment.accumulate))
        for count in slices:
            yield dataclasses.replace(experiment, mesh=mesh, accumulate=count)
        if mesh_is_chosen:
            return


def _rows(mesh: Mesh, devices: int) -> int:
    """How many ways the rows of a batch are divided."""
    sizes = [mesh.data, mesh.fsdp, mesh.tensor, mesh.sequence]
    known = 1
    for size in sizes:
        known *= max(size, 1)
    filled = [devices // known if size == -1 else size for size in sizes]
    return filled[0] * filled[1]


def slicings(batch: int, ways: int, rows: int) -> list[int]:
    """Numbers of slices of a batch that devices divide, the size nearest above `rows` first."""
    fitting = [batch // n for n in range(1, batch + 1)
               if batch % n == 0 and batch // n % ways == 0]  # rows of a slice
    above = sorted(size for size in fitting if size >= rows)
    below = sorted((size for size in fitting if size < rows), reverse=True)
    return [batch // size for size in (*above, *below)]
