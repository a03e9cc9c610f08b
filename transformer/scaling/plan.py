"""A plan: one experiment on one machine, compiled and counted."""

from __future__ import annotations

import dataclasses

from transformer.scaling.adapt import LANES, adapted, width_of
from transformer.scaling.advice import Advice, advice
from transformer.scaling.collectives import Collective, collectives
from transformer.scaling.forecast import Forecast, Work, forecast
from transformer.scaling.memory import Memory, measured
from transformer.scaling.products import model_flops, recomputed_flops, tokens
from transformer.scaling.program import Compiled, Step, TooLarge, compiled
from transformer.scaling.topology import Topology
from transformer.scaling.traffic import least, moved
from transformer.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a step on a machine.

    notes: what was changed in the config to divide the devices.
    fits: None where it is not known how much memory a device has.
    work, times, sent: None where it did not compile. advice: where it does not fit.
    seconds: that compiling took.
    """

    topology: Topology
    step: Step
    notes: list[str]
    fits: bool | None
    memory: Memory
    work: Work | None
    times: Forecast | None
    advice: list[Advice]
    seconds: float

    @property
    def sent(self) -> tuple[Collective, ...]:
        """The collectives of a step; none if it did not compile."""
        return self.work.sent if self.work else ()


def planned(experiment: Experiment, example: dict, topology: Topology, devices: list,
            chosen: tuple[str, ...] = ()) -> Plan:
    """Adapts, compiles and reads the step of an experiment. Errors as `adapted`."""
    step, notes = adapted(experiment, example, devices, topology.device.usable, chosen)
    fsdp, width = step.mesh.shape["fsdp"], width_of(step.experiment)
    if topology.is_tpu and fsdp > 1 and width // fsdp < LANES:
        notes = [*notes, f"fsdp={fsdp} leaves a chip {width // fsdp} of the width {width:,}: below "
                 f"{LANES} libtpu sums zeros over all chips instead of gathering"]
    plan = planned_step(step, topology, notes)
    if plan.fits is False:
        plan = helped(plan, example)
    return plan


def helped(plan: Plan, example: dict) -> Plan:
    """The plan with advice, as it does not fit."""
    over = plan.memory.total - plan.topology.device.usable
    return dataclasses.replace(plan, advice=advice(plan.step, example, over))


def planned_step(step: Step, topology: Topology, notes: list[str]) -> Plan:
    """As `planned`, of a step that divides the devices; without advice."""
    program = compiled(step)
    memory = measured(step, program)
    usable = topology.device.usable
    if isinstance(program, TooLarge):
        return Plan(topology, step, notes, False, memory, None, None, [], program.seconds)
    work = _work(step, program, memory, topology)
    # a compiler for TPUs refuses what has no room; of an estimate the table must say
    fits = True if topology.is_tpu else usable and memory.total <= usable
    return Plan(topology, step, notes, fits, memory, work, forecast(work, topology), [],
                program.seconds)


def _work(step: Step, program: Compiled, memory: Memory, topology: Topology) -> Work:
    # a CPU's program fuses less and widens bfloat16: its traffic says nothing about a GPU
    bytes_moved = moved(program.text) if topology.is_tpu else least(step, memory)
    return Work(flops=model_flops(step), recomputed=recomputed_flops(step), moved=bytes_moved,
                sent=tuple(collectives(program.text, dict(step.mesh.shape))),
                tokens=tokens(step), steps=step.experiment.steps)
