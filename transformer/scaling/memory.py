"""Where the memory of a device goes: what is counted from shapes, and what the compiler says."""

from __future__ import annotations

import dataclasses

from transformer.scaling.program import Compiled, Step, TooLarge, shard_bytes
from transformer.scaling.residuals import saved


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device.

    parameters, optimizer (with the moving average), batch: counted from the state's shapes and
      places. gradients: one for each parameter, as it lies.
    activations: counted, what the backward pass keeps of one slice.
    temporaries: what the compiled program reserves beyond all these; None if it did not compile.
    total: of the compiled program; else what is counted, which is less than it would need.
    """

    parameters: float
    optimizer: float
    gradients: float
    activations: float
    batch: float
    temporaries: float | None
    total: float

    @property
    def counted(self) -> float:
        """Without the temporaries."""
        return (self.parameters + self.optimizer + self.gradients + self.activations
                + self.batch)


def counted(step: Step) -> Memory:
    """Without compiling anything."""
    parameters = shard_bytes(step.state["params"])
    parts = dict(parameters=parameters, optimizer=shard_bytes(step.state) - parameters,
                 gradients=parameters, activations=saved(step), batch=shard_bytes(step.batch))
    return Memory(**parts, temporaries=None, total=sum(parts.values()))


def measured(step: Step, program: Compiled | TooLarge) -> Memory:
    """With what the compiler says.

    It may share memory between gradients, activations and what it holds in between, and keep fewer
    activations than were counted: what the total has no room for is taken off these.
    """
    memory = counted(step)
    if isinstance(program, TooLarge):
        return dataclasses.replace(memory, total=max(memory.total, program.needed or 0))
    rest = program.total - memory.parameters - memory.optimizer - memory.batch
    gradients = min(memory.gradients, rest)
    activations = min(memory.activations, rest - gradients)
    return dataclasses.replace(memory, gradients=gradients, activations=activations,
                               temporaries=rest - gradients - activations, total=program.total)
