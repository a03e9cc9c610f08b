"""What a run tells people: the table at its start, and the summary at its end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import numpy as np

from transformer.data.baseline import bag_of_words
from transformer.data.world import World, WorldTask
from transformer.error import UserError
from transformer.generation.prompt import require_room
from transformer.launch import SUMMARY
from transformer.nn.context import Run
from transformer.nn.door import unstack
from transformer.nn.model import Decoder
from transformer.objectives.objective import special
from transformer.training.progress import duration, number
from transformer.training.restore import restore_params

COUNTED = ("data_units", "optimisation_units")  # floats, because weights may be; shown as counts


def announce(stage, experiment, model, tokenizer, data, stream, state, mesh, flops, peak, done,
             base, fresh, seconds) -> None:
    """The table that a run begins with."""
    batch = stream[0]
    tokens = sum(batch[n].size for n in ("tokens", "source_tokens") if n in batch)
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves((state["params"], state["opt"])))
    gradients = sum(leaf.nbytes for leaf in jax.tree.leaves(state["params"]))
    own = sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
              for part in ("params", "params", "opt") for leaf in jax.tree.leaves(state[part]))
    schedule = experiment.optimizer.learning_rate
    epochs = experiment.steps * experiment.batch / stream.rows_per_epoch
    devices = f"{mesh.size} x {jax.devices()[0].device_kind}"
    axes = ", ".join(f"{axis} {size}" for axis, size in mesh.shape.items() if size > 1)
    lines = {
        "model": f"{type(experiment.model).__name__}, {model.count():,} parameters",
        "FLOPs": f"{flops / tokens:.3g} per token, {flops:.3g} per step",
        "memory": f"{state_bytes / 1e6:,.1f} MB parameters and optimizer, "
                  f"{gradients / 1e6:,.1f} MB gradients"
                  + (f"; of all that {own / 1e6:,.1f} MB on a device" if mesh.size > 1 else ""),
        "devices": devices + (f" ({axes})" if axes else "")
                   + (f", peak {peak:.3g} FLOP/s" if peak else ", peak unknown: no MFU"),
        "tokenizer": f"{type(tokenizer.spec).__name__}, {tokenizer.size:,} ids",
        "data": f"{type(experiment.data).__name__}, {stream.rows_per_epoch:,} rows of "
                f"{batch['tokens'].shape[-1]} tokens",
        "batch": f"{experiment.batch} rows, {tokens:,} tokens, {experiment.accumulate} slice(s)",
        "steps": f"{experiment.steps:,} ({epochs:.2f} epochs)",
        "schedule": _short(schedule),
        "optimizer": _short(experiment.optimizer),
    }
    if data.full:
        lines["cut"] = (f"{data.full:,} of {len(data.records):,} records fill their row; what was "
                        "longer is cut (rows.length)")
    if base is not None:
        lines["start from"] = f"{base}; fresh: {', '.join(fresh) or 'nothing'}"
    if done:
        lines["resumes"] = f"after step {done:,}"
    print(f"\n== {stage or 'run'} ==")
    for name, text in lines.items():
        print(f"  {name:10} {text}")
    print(f"  {'ready in':10} {seconds:.1f} s", flush=True)


def _short(spec) -> str:
    """A spec without its nested specs."""
    fields = {n: getattr(spec, n) for n in type(spec).__dataclass_fields__}
    plain = {n: v for n, v in fields.items() if isinstance(v, (int, float)) and v is not None}
    return f"{type(spec).__name__}({', '.join(f'{n}={v:g}' for n, v in plain.items())})"


def greet(stage: str, directory: Path) -> int:
    """Tells what a finished run found, and how to start it again."""
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    print(f"\n== {stage or 'run'} == finished before; --fresh starts it again")
    _print(summary)
    return 0


def conclude(stage, experiment, model, tokenizer, directory, data, judge, state, done,
             checkpoints, counters, hosts) -> int:
    """Judges the best parameters on the test data, shows samples, writes DIR/summary.json.

    judge: of the test data, or None. Of several `hosts` all compute, process 0 writes.
    """
    best = checkpoints.best_good()
    params, step = state["ema"] if experiment.average else state["params"], done
    if best is not None and best != done:
        params, step = restore_params(checkpoints.path(best), params,  # into the same places
                                      average=bool(experiment.average), verified=True), best
    summary = {
        "stage": stage, "step": done, "judged_step": step, "parameters": model.count(),
        experiment.best: counters["best"], "data_units": counters["data_units"],
        "optimisation_units": counters["optimisation_units"],
        "ratio": counters["optimisation_units"] / max(counters["data_units"], 1),
        "skipped": counters["skipped"], "seconds": counters["seconds"],
        **_test(experiment, data, judge, params),
        "samples": _samples(experiment, model, tokenizer, params),
    }
    if hosts.first:
        temporary = directory / (SUMMARY + ".tmp")
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        temporary.replace(directory / SUMMARY)
    _print(summary)
    return 0


def _test(experiment, data, judge, params) -> dict:
    """The metrics of the test data, with what they are to be compared with."""
    if judge is None:
        return {}
    told = {f"test_{name}": value for name, value in judge(params).items()}
    if isinstance(experiment.test, World):
        floor = experiment.test.floor()
        told["floor_bits_per_byte"] = floor.per_byte / np.log(2)
        told["floor_loss"] = floor.per(len(judge.data.corpus))  # nats per token
        told["test_over_floor"] = told["test_loss"] / told["floor_loss"]
    if isinstance(experiment.test, WorldTask):
        told["bag_of_words"] = bag_of_words(experiment.test.name, data.records,
                                            judge.data.records)
    return told


def require_prompts(experiment, model, tokenizer) -> None:
    """UserError, before training begins, if the prompts could not be continued after it."""
    if not experiment.prompts:
        return
    if not isinstance(experiment.model, Decoder):
        raise UserError(f"prompts: a {type(experiment.model).__name__} does not continue texts; "
                        "leave prompts empty")
    for ids in _prompts(experiment, tokenizer):
        require_room(len(ids), experiment.tokens, experiment.model.embedding.position.limit())


def _prompts(experiment, tokenizer) -> list[list[int]]:
    """Ids of the prompts, with the piece that the rows begin with."""
    opening = getattr(experiment.rows, "opening", None)
    first = [special(tokenizer, opening)] if opening else []
    return [first + tokenizer.encode(prompt) for prompt in experiment.prompts]


def _samples(experiment, model, tokenizer, params) -> list[str]:
    """Continuations of the experiment's prompts."""
    if not experiment.prompts:
        return []
    from transformer.generation.generate import Sample, generate
    from transformer.generation.prompt import batch_of

    made = generate(model, unstack(params), batch_of(_prompts(experiment, tokenizer)),
                    tokens=experiment.tokens, choose=Sample(temperature=0.8),
                    stop=tokenizer.special.get("eos"), key=jax.random.key(experiment.seed),
                    vocab=tokenizer.size, run=experiment.run or Run())
    return [prompt + tokenizer.decode(row[:count].tolist()) for prompt, row, count
            in zip(experiment.prompts, made["tokens"], made["lengths"])]


def _print(summary: dict) -> None:
    samples, width = summary.get("samples", []), max(map(len, summary))
    for name, value in summary.items():
        if name in ("samples", "stage") or value is None:
            continue
        shown = duration(value) if name == "seconds" else (
            number(value) if isinstance(value, float) and name not in COUNTED else f"{value:,.0f}")
        print(f"  {name:{width}} {shown}")
    for sample in samples:
        print(f"  | {sample.replace(chr(10), chr(10) + '  | ')}")
