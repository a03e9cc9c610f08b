"""A signal that reaches one process stops all of them, after the same step.

Each process puts the number of the signal it got, or 0, into the step itself, which takes the
largest over all devices. The answer comes back with the metrics, one step late, so nobody waits
for it, and it comes to all processes with the same step.
"""

from __future__ import annotations

import contextlib
import signal

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from transformer.training.signals import Stop


class Agreed:
    """What a `Stop` is in a run of one process, for the processes of `hosts` together.

    `asked` is the signal once all know of it. Between steps `poll` asks everybody.
    """

    def __init__(self, stop: Stop, hosts, mesh):
        self.asked: signal.Signals | None = None
        self._stop, self._hosts, self._mesh = stop, hosts, mesh
        self._numbers: dict[int, jax.Array] = {}

    @property
    def code(self) -> int:
        """Exit status, as of `Stop`."""
        return 128 + self.asked if self.asked else 0

    def at_once(self) -> contextlib.AbstractContextManager:
        """See `Stop.at_once`; the death of one process is the end of all."""
        return self._stop.at_once()

    def poll(self) -> signal.Signals | None:
        """The signal that any process has got by now. All must ask at the same time."""
        self.hear(self._hosts.agree(self._own()))
        return self.asked

    def hear(self, number: int) -> None:
        """Takes what a step brought back."""
        if number and self.asked is None:
            self.asked = signal.Signals(number)

    def placing(self, place):
        """`place` batch -> arrays, with what this process is asked just now."""
        return lambda batch: (place(batch), self._placed(self._own()))

    def asking(self, step):
        """`step` (state, batch) -> (state, metrics) for such pairs, `asked` among the metrics.

        The maximum comes after everything else: on CPUs, collectives that do not depend on each
        other may start in another order in every process, and gloo then mixes up their data.
        """
        def both(state, pair):
            batch, number_N = pair
            state, metrics = step(state, batch)
            last = metrics["in_a_row"]  # needs all of the step: see below
            return state, {**metrics, "asked": (number_N + last).max() - last}

        return both

    def _own(self) -> int:
        return int(self._stop.asked or 0)

    def _placed(self, number: int) -> jax.Array:
        """One number for each device, those of this process being `number`."""
        if number not in self._numbers:
            split = NamedSharding(self._mesh, PartitionSpec(self._mesh.axis_names))
            self._numbers[number] = jax.make_array_from_callback(
                (self._mesh.size,), split, lambda _: np.full(1, number, np.int32))
        return self._numbers[number]
