"""The steps of `train.py` that are more than a line: configuration, resume, placement."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import logging
import os
from pathlib import Path

import jax

from transformer import kinds, wiring
from transformer.data.place import cache_root
from transformer.data.stream import row_digests
from transformer.data.tokenizer import load_tokenizer
from transformer.error import UserError
from transformer.nn.count import train_flops
from transformer.ops.placement import batch_shardings
from transformer.spec import from_json, to_json
from transformer.training import peak as peaks
from transformer.training.config import stages
from transformer.training.experiment import QUIET, Experiment, changed
from transformer.training.lock import Lock
from transformer.training.log import Log, Silent
from transformer.training.loop import fresh_counters
from transformer.training.share import Share
from transformer.training.shelf import on_disk

CONFIG, SUMMARY, STAGES = "config.json", "summary.json", "stages.json"


def configure() -> None:
    """Process-wide settings: memory that is kept, and compiled programs that are kept on disk."""
    keep_memory()
    tell_choices()
    jax.config.update("jax_threefry_partitionable", True)
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache_root() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def tell_choices() -> None:
    """Shows what the package decides by itself, such as the backend of attention, as plain lines.
    """
    log = logging.getLogger("transformer")
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)


def keep_memory() -> None:
    """Lets the C library keep freed memory instead of giving it back to the kernel.

    On a CPU the arrays of every step are allocated anew; faulting their pages in again costs a
    quarter of a step. Only glibc has these switches; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # malloc.h
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_ARENA_MAX, 1)


def stages_of(config: str, overrides: list[tuple[str, str]], workdir: Path, hosts) -> dict:
    """The experiments of a config; the order of several stages is kept in DIR/stages.json."""
    kinds.register()
    found = stages(config, overrides)
    if not hosts.first:
        return found
    if "" not in found:
        workdir.mkdir(parents=True, exist_ok=True)
        _write(workdir / STAGES, list(found))
    else:
        (workdir / STAGES).unlink(missing_ok=True)  # DIR held another config's stages
    return found


@contextlib.contextmanager
def held(directory: Path, hosts, fresh: bool):
    """Holds the run's directory, emptied if it is to be `fresh`; every process must see it.

    Raises:
      UserError: another run is in it, or a host does not see it.
    """
    with contextlib.ExitStack() as stack:
        if hosts.first:
            directory.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(Lock(directory, hosts.patience))
            if lock.previous:
                print(f"the run before (process {lock.previous['pid']}) ended without a word")
            if fresh:
                wiring.forget(directory)
        hosts.require_shared(directory)
        yield


def settled(directory: Path, experiment: Experiment, hosts) -> bool:
    """Whether DIR holds this very run, finished; if not, its config is there from now on."""
    def settle():
        if finished(directory, experiment):
            return True
        keep_config(directory, experiment)
        return False

    hosts.require_same("a config", json.dumps(to_json(experiment), sort_keys=True))
    return hosts.once(settle)


def keep_config(directory: Path, experiment: Experiment) -> None:
    """Writes DIR/config.json; a run that is continued must be the same but for length and logging.

    Raises:
      UserError: what differs from the run that DIR holds.
    """
    path = directory / CONFIG
    if path.exists() and on_disk(directory / "checkpoints"):
        lines = changed(from_json(json.loads(path.read_text(encoding="utf-8")), str(path)),
                        experiment)
        if lines:
            raise UserError(f"{directory} holds a run with another config ({'; '.join(lines)}); "
                            "undo the change, choose another --workdir, or start again with "
                            "--fresh")
    (directory / SUMMARY).unlink(missing_ok=True)
    _write(path, to_json(experiment))


def finished(directory: Path, experiment: Experiment) -> bool:
    """Whether DIR holds the summary of this very experiment, but for how it was run and told."""
    path = directory / SUMMARY
    if not path.is_file():
        return False
    kept = from_json(json.loads((directory / CONFIG).read_text(encoding="utf-8")))
    return not changed(kept, experiment, free=QUIET)


def resume(checkpoints, abstract, begin, fingerprint: str):
    """(step, state, counters, fresh names) of the newest good checkpoint, or of the beginning.

    abstract: as from `beginning.planned`. begin: () -> (state, fresh names), called if need be.

    Raises:
      UserError: the checkpoint was made from other data.
    """
    step = checkpoints.latest_good()
    if step is None:
        state, names = begin()
        return 0, state, fresh_counters(), names
    kept = json.loads((checkpoints.path(step) / "data.json").read_text(encoding="utf-8"))
    if kept["fingerprint"] != fingerprint:
        raise UserError(f"{checkpoints.path(step)} was trained on other data (its fingerprint is "
                        f"{kept['fingerprint'][:12]}, now {fingerprint[:12]}); restore the data, "
                        "or choose another --workdir")
    return step, checkpoints.restore(step, abstract), kept["counters"], []


def base_of(experiment: Experiment, directory: Path, workdir: Path, hosts) -> Path | None:
    """`wiring.beginning`, which process 0 looks for."""
    found = hosts.once(lambda: str(wiring.beginning(experiment, directory, workdir) or ""))
    return Path(found) if found else None


def tokenizer_of(experiment: Experiment, directory: Path, workdir: Path, hosts):
    """`wiring.tokenizer_of`; what process 0 made, the others read."""
    with hosts.first_before_others():
        return (wiring.tokenizer_of(experiment, directory, workdir) if hosts.first
                else load_tokenizer(directory / "tokenizer"))


def files(experiment: Experiment, tokenizer, fingerprint: str, counters: dict) -> dict:
    """What a checkpoint holds besides the state."""
    return {"spec.json": experiment.model, "objective.json": experiment.objective,
            "tokenizer": tokenizer.save,
            "data.json": {"experiment": to_json(experiment), "fingerprint": fingerprint,
                          "counters": counters}}


def place_batch(slices: int, mesh, batch: dict):
    """A host batch on the devices, every array [A, B/A, ...]."""
    cut = {name: a.reshape(slices, len(a) // slices, *a.shape[1:]) for name, a in batch.items()}
    if mesh.size == 1:
        return jax.device_put(cut)
    return jax.device_put(cut, batch_shardings(cut, mesh, lead=1))


def placing(part: Share, mesh):
    """host batch of `part.rows` -> the global batch on the devices."""
    if mesh.is_multi_process:
        return functools.partial(part.place, mesh)
    return functools.partial(place_batch, part.slices, mesh)


def digest(part: Share, hosts, batch: dict) -> str | None:
    """The hash of the global batch that metrics.jsonl carries, at process 0."""
    own = row_digests(part.owned(batch)) if part.own else []
    found = hosts.gather([one.hex() for one in own])
    return found and part.hash(found)


def units(part: Share, objective, batch: dict) -> tuple[float, float]:
    """What the objective counts in the rows that are this process's own."""
    return objective.units(part.owned(batch)) if part.own else (0.0, 0.0)


def evaluation(judge, experiment: Experiment, stop):
    """state -> {"validation_...": value}, or None where a signal came."""

    def evaluate(state):
        params = state["ema"] if experiment.average else state["params"]
        found = judge(params, stopped=stop.poll)
        return found and {f"validation_{name}": value for name, value in found.items()}

    return evaluate


def log_of(experiment: Experiment, directory: Path, done: int, hosts) -> Log | Silent:
    """metrics.jsonl and where it is shown besides; process 0 writes it."""
    from transformer.training.events import Events
    from transformer.training.tracker import WandB

    if not hosts.first:
        return Silent()
    mirrors = [Events(directory, done)]
    if experiment.wandb:
        mirrors.append(WandB(directory, experiment.wandb, to_json(experiment)))
    return Log(directory, done or None, mirrors)


def flops_and_peak(experiment: Experiment, model, stream) -> tuple[float, float | None]:
    """FLOPs of one step, and the peak FLOP/s of all devices where the table knows them."""
    batch = stream[0]
    rows, length = batch["tokens"].shape
    source = batch["source_tokens"].shape[1] if "source_tokens" in batch else 0
    slots = batch["masked"].shape[1] if "masked" in batch else None
    one = peaks.peak_flops(jax.devices()[0].device_kind)
    return rows * train_flops(model, length, source, slots), one and one * len(jax.devices())


def mesh_context(mesh):
    """Activations are constrained under a mesh of several devices, and left alone on one."""
    return jax.set_mesh(mesh) if mesh.size > 1 else contextlib.nullcontext()


def _write(path: Path, value) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
