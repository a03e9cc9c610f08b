"""Plans of a tiny experiment: what is counted is what the compiler finds, and what would help."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
import types
from pathlib import Path

import jax
import pytest

from transformer.error import UserError
from transformer.ops.placement import Mesh
from transformer.scaling import report
from transformer.scaling.adapt import adapted, slicings
from transformer.scaling.advice import REMATS, advice
from transformer.scaling.memory import counted
from transformer.scaling.plan import planned
from transformer.scaling.products import model_flops, recomputed_flops
from transformer.scaling.program import TooLarge, compiled, needed, shard_bytes, step_of
from transformer.scaling.search import search
from transformer.scaling.topology import Topology, parse
from transformer.shapes import one_example
from transformer.training.config import stages
from transformer.training.devices import Device

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/pretrain/gpt2.py:size=tiny"
GPU = Device("NVIDIA tiny", flops=1e12, usable=2**20, bandwidth=1e11, link=1e10, joined=8)
L, B, T, D, H, F, V = 4, 16, 128, 64, 4, 256, 2048


def gpt2(*overrides):
    found, = stages(CONFIG, list(overrides)).values()
    return found


@functools.cache
def example(config=CONFIG):
    found, = stages(config, []).values()
    return one_example(found)


@functools.cache
def step(*overrides):
    return step_of(gpt2(*overrides), example(), jax.devices()[:1])


@functools.cache
def program():
    return compiled(step())


def test_the_state_is_what_the_compiled_program_takes():
    """To the byte, but for the padding of scalars."""
    assert program().arguments == pytest.approx(
        shard_bytes(step().state) + shard_bytes(step().batch), abs=64)
    assert "input_output_alias" in program().text  # the new state takes the place of the old


def test_the_parts_of_memory_by_hand():
    parameters = 4 * step().model.count()
    memory = counted(step())
    assert memory.parameters == memory.gradients == parameters
    assert memory.optimizer == pytest.approx(2 * parameters, abs=64)  # AdamW, and a few counts
    assert memory.counted <= program().total


def test_activations_grow_with_rows_and_shrink_with_rematerialisation():
    saved = lambda *overrides: counted(step(*overrides)).activations
    full, dots, none = (saved(("run.remat", remat)) for remat in ("full", "dots", "none"))
    assert none > dots > full
    assert saved(("batch", "32")) == pytest.approx(2 * none, rel=0.02)
    assert saved(("accumulate", "2")) == pytest.approx(none / 2, rel=0.05)
    layers = step().model.spec.stack.depth * B * T * D * 4  # the input of each layer
    assert full > layers and saved(("run.remat", "full"), ("run.dtype", "bfloat16")) < full


def test_flops_by_hand():
    """Products of weights and activations, half of the square of attention. Again under full
    rematerialisation: what the layers multiply, the square as far as it is computed, but not the
    head, nor the last product of a layer, whose result nothing reads."""
    depth = step().model.spec.stack.depth
    layer = 2 * T * (4 * D * D + 2 * D * F)
    scores = 4 * T * T * D
    assert model_flops(step()) == 3 * B * (depth * (layer + scores / 2) + 2 * T * D * V)
    assert recomputed_flops(step()) == 0
    again = recomputed_flops(step(("run.remat", "full")))
    down = 2 * T * D * F
    assert layer - down + scores / 2 <= again / (B * depth) <= layer - down + scores


def test_what_does_not_fit_names_what_would_help():
    """Everything recomputed, half the rows at once, half the batch; nothing to split on one."""
    topology = Topology("tiny:1", GPU, (1,))
    plan = planned(gpt2(), example(), topology, jax.devices()[:1])
    assert plan.fits is False and len(plan.advice) == 3
    now = counted(plan.step)
    by_setting = {one.settings: one.saved for one in plan.advice}
    assert by_setting["--accumulate=8"] == pytest.approx(now.activations * 7 / 8, rel=0.05)
    assert by_setting["--run.remat=full"] == pytest.approx(
        now.activations - counted(step(("run.remat", "full"))).activations)
    saved = list(by_setting.values())
    assert saved == sorted(saved, reverse=True)
    text = "\n".join(report.lines(plan))
    assert "NO" in text and "--accumulate=8" in text and "saves" in text
    record = json.loads(json.dumps(report.record(plan)))
    assert record["fits"] is False and record["memory"]["total"] == plan.memory.total


@pytest.mark.full  # traces a dozen steps
def test_the_mildest_setting_that_is_enough_is_named():
    half = counted(step()).activations / 2
    names = lambda over: {one.settings for one in advice(step(), example(), over)}
    assert "--accumulate=2" in names(0.8 * half) and "--accumulate=4" in names(1.2 * half)
    first = advice(step(), example(), 1.2 * half)[0]
    assert first.saved >= 1.2 * half


@pytest.mark.full
def test_advice_of_a_program_that_did_not_compile(monkeypatch):
    monkeypatch.setattr("transformer.scaling.plan.compiled", lambda step: TooLarge(2.0**40, 1.0))
    plan = planned(gpt2(), example(), Topology("tiny:1", GPU, (1,)), jax.devices()[:1])
    assert plan.fits is False and plan.memory.total == 2**40 and plan.memory.temporaries is None
    assert plan.advice == advice(step(), example(), 2**40 - 2**20)
    assert "at least 1,024.00 GiB of 1.00 MiB" in "\n".join(report.lines(plan))


@pytest.mark.full  # traces some twenty steps
def test_search_takes_the_most_rows_then_the_cheapest(monkeypatch):
    """The compiler needs six tenths of what is counted: more rows fit than the count says."""
    needs = lambda step: 0.6 * counted(step).total
    room = needs(step(("batch", "64"), ("run.remat", "dots"))) + 1

    def pretend(step):
        if needs(step) > room:
            return TooLarge(needs(step), 0.0)
        return dataclasses.replace(program(), total=int(needs(step)))

    monkeypatch.setattr("transformer.scaling.plan.compiled", pretend)
    told, device = [], dataclasses.replace(GPU, usable=room)
    plan, tried = search(gpt2(), example(), Topology("tiny:1", device, (1,)), jax.devices()[:1],
                         compilations=12, tell=told.append)
    assert len(told) == len(tried) <= 12 and plan.fits
    at = lambda rows, remat: needs(step(("batch", str(rows)), ("run.remat", remat)))
    most = max(rows for rows in (16, 32, 64, 128, 256, 512) if at(rows, "full") <= room)
    chosen = plan.step.experiment
    assert (chosen.batch, chosen.accumulate) == (most, 1) and most > 64
    assert chosen.run.remat == next(one for one in REMATS if at(most, one) <= room)


@pytest.mark.full
def test_search_ends_where_no_compilation_is_left(monkeypatch):
    monkeypatch.setattr("transformer.scaling.plan.compiled", lambda step: TooLarge(None, 0.0))
    device = dataclasses.replace(GPU, usable=2**40)
    plan, tried = search(gpt2(), example(), Topology("tiny:1", device, (1,)), jax.devices()[:1],
                         compilations=3, tell=lambda text: None)
    assert len(tried) == 2 and plan.fits is False  # the third was for a cheaper rematerialisation


def test_parameters_are_split_where_copies_find_no_room(monkeypatch):
    """Only then, only where the config copies them, and not if the user has set a mesh."""
    made, devices = [], list(range(8))

    def pretend(experiment, example, devices):
        made.append(experiment.mesh)
        split = experiment.mesh.fsdp > 1
        if split and experiment.mesh.tensor == 1:
            raise UserError("width 100 does not divide; use another")
        sizes = {"data": 1 if split else 8, "fsdp": 4, "tensor": 2}
        return types.SimpleNamespace(experiment=experiment, mesh=types.SimpleNamespace(shape=sizes))

    monkeypatch.setattr("transformer.scaling.adapt.step_of", pretend)
    monkeypatch.setattr("transformer.scaling.adapt.counted",
                        lambda step: types.SimpleNamespace(total=10 * 2**30))
    found, notes = adapted(gpt2(), {}, devices, 9 * 2**30)
    assert found.experiment.mesh == Mesh(data=1, fsdp=4, tensor=2)
    assert notes == ["--accumulate=1 would need 10.0 GiB of each device",
                     "planned with --mesh.data=1 --mesh.fsdp=4 --mesh.tensor=2 --accumulate=1"]
    for usable, chosen in ((11 * 2**30, ()), (None, ()), (9 * 2**30, ("mesh.data",))):
        found, notes = adapted(gpt2(), {}, devices, usable, chosen)
        assert found.experiment.mesh == Mesh() and notes == []
    split = dataclasses.replace(gpt2(), mesh=Mesh(data=1, fsdp=4, tensor=2))
    assert adapted(split, {}, devices, 9 * 2**30)[1] == []


def test_slices_that_devices_divide():
    """Of 1,600 rows over 64 ways: 64, 320 or 1,600 at once."""
    assert slicings(1600, 64, 32) == [25, 5, 1]
    assert slicings(1600, 64, 100) == [5, 1, 25]
    assert slicings(1600, 512, 32) == []


@pytest.mark.parametrize("message, size", [
    ("Ran out of memory on HBM, the total memory required for HLO temporaries (220.19G) exceeds "
     "available HBM (95.73G).", 220.19 * 2**30),
    ("Ran out of memory in memory space hbm. Used 16.45G of 15.75G hbm. Exceeded hbm capacity by "
     "718.4M.", 16.45 * 2**30), ("no number", None)])
def test_what_a_compiler_says_it_needs(message, size):
    assert needed(message) == pytest.approx(size) if size else needed(message) is None


def test_a_mesh_that_divides_nothing_is_the_users_mistake():
    with pytest.raises(UserError, match="mesh"):
        planned(dataclasses.replace(gpt2(), mesh=Mesh(data=3)), example(),
                Topology("tiny:1", GPU, (1,)), jax.devices()[:1], chosen=("mesh.data",))


def plan(tmp_path, *words):
    out = tmp_path / "plan.json"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-m", "transformer", "plan", *words, f"--json={out}"],
                          cwd=ROOT, env=env, capture_output=True, text=True)
    return done, json.loads(out.read_text())[0] if out.exists() else None


def test_eight_gpus_from_a_laptop(tmp_path):
    """Parameters are split as their letters say; every axis has its collectives."""
    done, found = plan(tmp_path, CONFIG, "--topology=h100:2x4", "--mesh.data=2", "--mesh.fsdp=2",
                       "--mesh.tensor=2", "--steps=1000")
    assert done.returncode == 0, done.stderr
    assert found["estimate"] and "an estimate" in done.stdout and found["fits"]
    assert found["mesh"] == {"data": 2, "fsdp": 2, "tensor": 2, "sequence": 1}
    whole = 4 * found["parameters"]
    assert whole / 4 <= found["memory"]["parameters"] < 0.3 * whole
    axes = {row["axes"]: row for row in found["collectives"]}
    assert {"data", "fsdp", "tensor"} <= set(axes)
    times = found["times"]
    assert 0 < times["lowest"] <= times["highest"]
    tokens = 16 * 128
    assert times["days"][1] == pytest.approx(1000 * times["lowest"] / 86400)
    assert found["tokens"] == tokens and math.isclose(
        times["tokens_per_second"][1], tokens / times["lowest"])


def test_an_unknown_machine_ends_with_one_line(tmp_path):
    done, found = plan(tmp_path, CONFIG, "--topology=v5q:8x8x8")
    assert done.returncode == 2 and found is None
    assert done.stderr.startswith("error: --topology=v5q:8x8x8: no device 'v5q'")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_guessed_of_a_machine_without_figures(monkeypatch):
    monkeypatch.setattr("transformer.scaling.plan.compiled", lambda step: program())
    plan = planned(gpt2(), example(), parse("cpu:1"), jax.devices()[:1])
    assert plan.fits is None and plan.times.lowest is None and not plan.advice
    text = "\n".join(report.lines(plan))
    assert "fits       n/a" in text and "of n/a" in text and "chip-hours: n/a" in text


@pytest.mark.full
@pytest.mark.parametrize("topology", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2", "v4:2x2x1", "v5e:1x1"])
def test_tpus_from_a_laptop(tmp_path, topology):
    """Needs libtpu; CI has it not, so the cell is skipped there and says so."""
    pytest.importorskip("libtpu")
    done, found = plan(tmp_path, CONFIG, f"--topology={topology}", "--run.remat=full")
    assert done.returncode == 0, done.stderr
    assert found["fits"] and not found["estimate"] and found["times"]["lowest"] > 0
    assert found["memory"]["total"] >= found["memory"]["parameters"]


@pytest.mark.full
def test_a_tpu_that_is_too_small_refuses(tmp_path):
    pytest.importorskip("libtpu")
    done, found = plan(tmp_path, "configs/pretrain/gpt2.py:size=xl", "--topology=v5e:2x2")
    assert done.returncode == 1, done.stderr
    assert not found["fits"] and len(found["advice"]) == 3
