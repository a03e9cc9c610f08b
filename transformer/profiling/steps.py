"""Takes training steps in the order of `training.loop`, naming what the host does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from transformer.profiling.attribution import DATA, HOST
from transformer.profiling.trace import MARK, WINDOW


def take(steps: int, step: Callable, place: Callable, batches: Iterator[dict], state) -> tuple:
    """(seconds a step, seconds of it that the host waited for data, the state after them).

    The metrics of a step are read when the next one is under way, as in training.
    """
    note = jax.profiler.TraceAnnotation
    waiting, waited, began = None, 0.0, time.perf_counter()
    with note(WINDOW):
        for _ in range(steps):
            asked = time.perf_counter()
            with note(MARK + DATA):
                batch = next(batches)
            waited += time.perf_counter() - asked
            with note(MARK + HOST):
                state, metrics = step(state, place(batch))
                if waiting:
                    jax.device_get(waiting)
            waiting = metrics
        with note(MARK + HOST):
            jax.block_until_ready((state, metrics))
    return (time.perf_counter() - began) / steps, waited / steps, state


def traced(directory: Path, *arguments) -> tuple:
    """`take(*arguments)` while the profiler writes what happens into a directory."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every call of Python would slow down what is measured
    with jax.profiler.trace(str(directory), profiler_options=options):
        return take(*arguments)
