"""Profiles the training step of an experiment: from its config to the rows of the table."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import jax
import numpy as np

from transformer import beginning, launch, wiring
from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.profiling.attribution import attribute, communicating
from transformer.profiling.floor import Work, work
from transformer.profiling.machine import bandwidth, matmul_rate
from transformer.profiling.program import instructions
from transformer.profiling.steps import take, traced
from transformer.profiling.table import rows
from transformer.profiling.trace import read
from transformer.training.division import require_division
from transformer.training.step import train_step

WARM = 2  # steps before anything is measured: the first compiles


def profile(experiment, steps: int, trace: Path, workdir: Path) -> dict:
    """What the verb prints, as numbers. Seconds are those of one step; see `table.rows`.

    Raises:
      UserError: as `train.py`, of the config and its data; a profiler that wrote nothing.
    """
    dtype = (experiment.run or Run()).dtype
    rate, moved = matmul_rate(dtype), bandwidth()
    model, stream, place, step, state, mesh = _prepared(experiment, workdir)
    with launch.mesh_context(mesh):
        batches = stream.iterate()
        compiled = step.lower(state, place(stream[0])).compile()
        _, _, state = take(WARM, compiled, place, batches, state)
        plain, _, state = take(steps, compiled, place, batches, state)
        _, waited, state = traced(trace, steps, compiled, place, batches, state)
    ops, spans, window = read(trace, instructions(compiled.as_text()))
    shares = {part: Work(one.flops / mesh.size, one.bytes / mesh.size) for part, one in
              work(model, state, stream[0], np.dtype(dtype).itemsize).items()}
    table = rows(attribute(ops, spans, *window), steps, shares, rate, moved)
    flops, peak = launch.flops_and_peak(experiment, model, stream)
    return {"device": jax.devices()[0].device_kind, "devices": mesh.size, "dtype": dtype,
            "steps": steps, "rows": table, "step_seconds": plain, "seconds_data": waited,
            "traced_step_seconds": (window[1] - window[0]) / 1e9 / steps,
            "seconds_collectives": communicating(ops, *window) / 1e9 / steps,
            "floor": sum(row["floor"] or 0 for row in table), "flops": flops, "matmul_rate": rate,
            "bandwidth": moved, "of_matmul_rate": flops / plain / rate / mesh.size,
            "mfu": peak and flops / plain / peak, "trace": str(trace)}


def _prepared(experiment, workdir: Path):
    """(model, stream, place, jitted step, state, mesh) as `train.py` makes them."""
    wiring.require_kinds(experiment)
    model, mesh = Model(experiment.model), experiment.mesh.build()
    require_division(experiment, model.shapes(), mesh)
    optimizer = experiment.optimizer.build()
    abstract = beginning.planned(model, optimizer, experiment, mesh)
    with tempfile.TemporaryDirectory() as scratch:
        base = wiring.beginning(experiment, Path(scratch), workdir)
        tokenizer = wiring.tokenizer_of(experiment, Path(scratch), workdir)
        wiring.require_vocabulary(model, tokenizer, experiment.objective)
        data, _ = wiring.training_data(experiment, tokenizer)
        state, _ = beginning.begin(model, optimizer, experiment, base, abstract)
    apply = model.stepped(experiment.run or Run())
    step = jax.jit(functools.partial(
        train_step, apply=apply, objective=experiment.objective, optimizer=optimizer,
        average=experiment.average), out_shardings=(beginning.places(abstract), None),
        donate_argnums=0)
    place = functools.partial(launch.place_batch, experiment.accumulate, mesh)
    return model, data.stream(experiment), place, step, state, mesh
