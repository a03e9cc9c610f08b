"""The largest batch that fits a machine, and the mesh and rematerialisation that run it fastest."""

from __future__ import annotations

import bisect
import dataclasses
import sys

from transformer.error import UserError
from transformer.nn.context import Run
from transformer.ops.placement import Mesh
from transformer.scaling.adapt import slicings, state_bytes
from transformer.scaling.advice import REMATS
from transformer.scaling.memory import counted
from transformer.scaling.plan import Plan, helped, planned_step
from transformer.scaling.program import Step, step_of
from transformer.scaling.report import shape
from transformer.scaling.topology import Topology
from transformer.training.experiment import Experiment

TENSOR = (1, 2, 4, 8)
GROWTH = 8  # doublings of the config's batch, where all of it fits at once
MESHES = 3


def search(experiment: Experiment, example: dict, topology: Topology, devices: list,
           compilations: int, tell=None) -> tuple[Plan, list[Plan]]:
    """(the best plan, all that were compiled).

    On each mesh that divides the devices, with everything recomputed, the most rows at once whose
    program fits are found, beginning where the count of bytes says; of these meshes the one with
    most rows is kept, the faster of equals; then the cheapest rematerialisation that fits. Rows at
    once are a slice of the config's batch; where all of it fits, the batch is doubled.

    Raises:
      UserError: no mesh divides the devices, it is not known how much memory they have, or nothing
        may be compiled.
    """
    usable = topology.device.usable
    if compilations < 1:
        raise UserError(f"--compilations={compilations}: at least 1 program must be compiled")
    if usable is None:
        raise UserError(f"--search: how much memory {topology.device.kind} has is not known")
    tried = Tried(example, topology, devices, compilations, tell or _tell)
    meshes = list(_meshes(experiment, tried, usable))
    if not meshes:
        raise UserError(f"--search: no mesh of {len(devices)} devices divides this model and "
                        f"leaves room for its state; choose a larger machine")
    tried.kept = min(len(REMATS) - 1, compilations // 2)
    found = [best for mesh in meshes if (best := _largest(experiment, mesh, tried, usable))]
    tried.kept = 0
    if not found:
        return helped(tried.plans[-1], example), tried.plans
    best = max(found, key=_rank)
    for remat in REMATS[:-1]:
        other = _with(best.step.experiment, remat=remat)
        plan = tried(tried.step(other))
        if plan is None or plan.fits:
            return plan or best, tried.plans
    return best, tried.plans


@dataclasses.dataclass
class Tried:
    """Compiles, at most so many times, and keeps what it found. kept: compilations for later."""

    example: dict
    topology: Topology
    devices: list
    left: int
    tell: object
    plans: list[Plan] = dataclasses.field(default_factory=list)
    kept: int = 0

    def step(self, experiment: Experiment) -> Step:
        """Errors as `step_of`."""
        return step_of(experiment, self.example, self.devices)

    def __call__(self, step: Step) -> Plan | None:
        """None where no compilation is left."""
        if self.left <= self.kept:
            return None
        self.left -= 1
        plan = planned_step(step, self.topology, [])
        self.plans.append(plan)
        self.tell(f"{len(self.plans):3}  {row(plan)}  (compiled in {plan.seconds:.0f} s, "
                  f"{self.left} left)")
        return plan


def table(plans: list[Plan]) -> list[str]:
    """What was tried."""
    return ["  tried", *[f"    {row(plan)}" for plan in plans]]


def row(plan: Plan) -> str:
    """One program in a line."""
    fits = f"{'fits' if plan.fits else 'too large':9} {plan.memory.total / 2**30:8,.1f} GiB"
    times = plan.times
    speed = ("" if times is None or times.tokens_per_second is None else
             f"  {times.tokens_per_second[0]:,.0f} to {times.tokens_per_second[1]:,.0f} tokens/s")
    return f"{shape(plan.step)}: {fits}{speed}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _rank(plan: Plan):
    experiment, times = plan.step.experiment, plan.times
    speed = times.tokens_per_second[1] if times.tokens_per_second else 0.0
    return experiment.batch // experiment.accumulate, speed


def _with(experiment: Experiment, remat: str | None = None, **fields) -> Experiment:
    run = experiment.run or Run()
    run = run if remat is None else dataclasses.replace(run, remat=remat)
    return dataclasses.replace(experiment, run=run, **fields)


def _meshes(experiment: Experiment, tried: Tried, usable: float):
    """Meshes whose share of the state leaves room, the least tensor parallel first."""
    count, found = len(tried.devices), 0
    wanted = [Mesh(data=-1)] + [Mesh(data=1, fsdp=count // tensor, tensor=tensor)
                                for tensor in TENSOR if count % tensor == 0 and count > 1]
    for mesh in wanted:
        for batch, slices in _sizes(experiment, mesh, count)[:1]:
            try:
                step = tried.step(_with(experiment, mesh=mesh, batch=batch, accumulate=slices))
            except UserError:
                continue
            if state_bytes(step) < usable and found < MESHES:
                found += 1
                yield mesh


def _sizes(experiment: Experiment, mesh: Mesh, devices: int) -> list[tuple[int, int]]:
    """(batch, slices) that a mesh divides, the fewest rows at once first."""
    ways = devices // (mesh.tensor * mesh.sequence)
    slices = sorted(slicings(experiment.batch, ways, 1), reverse=True)
    more = [(experiment.batch * 2**n, 1) for n in range(1, GROWTH)
            if experiment.batch * 2**n % ways == 0]
    return [(experiment.batch, count) for count in slices] + more


def _largest(experiment: Experiment, mesh: Mesh, tried: Tried, usable: float) -> Plan | None:
    """The plan with most rows at once that fits, everything recomputed; None if none does."""
    sizes = _sizes(experiment, mesh, len(tried.devices))
    at = lambda n: _with(experiment, remat=REMATS[-1], mesh=mesh, batch=sizes[n][0],
                         accumulate=sizes[n][1])
    more = bisect.bisect_right(range(len(sizes)), usable,
                               key=lambda n: counted(tried.step(at(n))).total)
    n, best, failed = max(more - 1, 0), None, len(sizes)
    while 0 <= n < failed and (plan := tried(tried.step(at(n)))):
        if plan.fits:
            best, n = plan, n + 1
        else:
            failed, n = n, (n - 1 if best is None else failed)
    return best
