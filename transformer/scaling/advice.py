"""What would help most where a step does not fit, computed on the step that it would make."""

from __future__ import annotations

import dataclasses
import typing

from transformer.error import UserError
from transformer.nn.context import Run
from transformer.ops.placement import Mesh
from transformer.scaling.memory import counted
from transformer.scaling.program import Step, step_of
from transformer.training.experiment import Experiment

REMATS = typing.get_args(typing.get_type_hints(Run)["remat"])  # the cheapest first


@dataclasses.dataclass(frozen=True)
class Advice:
    """settings: as the command line takes them. saved: bytes of a device, as counted from shapes.
    """

    settings: str
    saved: float


def advice(step: Step, example: dict, over: float, most: int = 3) -> list[Advice]:
    """The settings that save most, one of each kind: the mildest that saves enough, else the one
    that saves most; those that save enough first, a smaller batch last: it changes what is learnt.

    over: bytes of a device that are too many.
    """
    now, found = counted(step).total, {}
    devices = step.mesh.devices.flatten().tolist()
    for kind, settings, other in _alternatives(step.experiment, len(devices)):
        best = found.get(kind)
        if best and best.saved >= over:
            continue
        try:
            saved = now - counted(step_of(other, example, devices)).total
        except UserError:
            continue
        if saved > 0.01 * now and (best is None or saved > best.saved):
            found[kind] = Advice(settings, saved)
    rank = lambda kind: (kind == "batch", found[kind].saved < over, -found[kind].saved)
    return [found[kind] for kind in sorted(found, key=rank)][:most]


def _alternatives(experiment: Experiment, devices: int):
    """(kind, settings, the experiment under them), the mildest of a kind first."""
    run = experiment.run or Run()
    for remat in (name for name in REMATS if name != run.remat):
        yield ("remat", f"--run.remat={remat}",
               dataclasses.replace(experiment, run=dataclasses.replace(run, remat=remat)))
    if run.dtype == "float32":
        yield ("dtype", "--run.dtype=bfloat16",
               dataclasses.replace(experiment, run=dataclasses.replace(run, dtype="bfloat16")))
    for slices in (experiment.accumulate * times for times in (2, 4, 8)):
        if experiment.batch % slices == 0:
            yield ("slices", f"--accumulate={slices}",
                   dataclasses.replace(experiment, accumulate=slices))
    smaller = experiment.batch // 2
    if smaller and smaller % experiment.accumulate == 0:
        yield "batch", f"--batch={smaller}", dataclasses.replace(experiment, batch=smaller)
    for tensor in (1, 2, 4, 8, 16):
        if tensor <= devices and devices % tensor == 0:
            mesh = Mesh(data=1, fsdp=devices // tensor, tensor=tensor)
            words = f"--mesh.data=1 --mesh.fsdp={devices // tensor}"
            words += f" --mesh.tensor={tensor}" if tensor > 1 else ""
            yield "mesh", words, dataclasses.replace(experiment, mesh=mesh)
