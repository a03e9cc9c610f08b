"""Runs on eight simulated devices, started as a user starts them."""

import json

import pytest

DEVICES = {"JAX_NUM_CPU_DEVICES": "8"}
FIRST = ("--mesh.data=2", "--mesh.tensor=2", "--mesh.sequence=2")
SECOND = ("--mesh.data=1", "--mesh.fsdp=2", "--mesh.tensor=2", "--mesh.sequence=2")
SAMPLES = ("--prompts=('ab c', 'd')", "--tokens=4")  # fewer than the rows that a mesh divides


@pytest.mark.full
def test_a_run_moves_to_another_mesh_and_is_judged_and_sampled_there(programs, whole):
    done = programs.train("moved", *FIRST, *SAMPLES, "--steps=8", environment=DEVICES)
    assert done.returncode == 0 and "data 2, tensor 2, sequence 2" in done.stdout, done.stderr
    done = programs.train("moved", *SECOND, *SAMPLES, environment=DEVICES)
    assert done.returncode == 0 and "resumes" in done.stdout, done.stderr
    assert "fsdp 2, tensor 2, sequence 2" in done.stdout
    for mine, one in zip(programs.log("moved"), programs.log(whole), strict=True):
        assert mine.get("batch_hash") == one.get("batch_hash")
        for name in {"loss", "grad_norm", "validation_loss"} & one.keys():
            assert mine[name] == pytest.approx(one[name], rel=1e-5), (one["step"], name)
    summary = json.loads((programs.folder / "moved" / "summary.json").read_text())
    assert len(summary["samples"]) == 2 and summary["samples"][0].startswith("ab c")


@pytest.mark.full
def test_a_checkpoint_answers_on_a_mesh_as_on_one_device(programs, whole, monkeypatch):
    told = {}
    for name, mesh in (("one", ()), ("first", FIRST), ("second", SECOND)):
        monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
        out = programs.folder / f"{name}.json"
        run = str(programs.folder / whole)
        judged = programs.python("evaluate.py", run, f"--json={out}", "--batch=3", *mesh)
        assert judged.returncode == 0, judged.stderr
        told[name] = [json.loads(out.read_text())]
        made = programs.python("-m", "transformer", "generate", run, "--prompt=ab", "--prompt=c d",
                               "--prompt=e", "--tokens=5", f"--json={out}", *mesh)
        assert made.returncode == 0, made.stderr
        told[name].append(json.loads(out.read_text())["samples"])
    metrics, samples = told.pop("one")
    for others, answers in told.values():
        assert others == pytest.approx(metrics, rel=1e-5)
        for mine, one in zip(answers, samples, strict=True):
            assert mine["tokens"] == one["tokens"]
            assert mine["log_probability"] == pytest.approx(one["log_probability"], rel=1e-5)


@pytest.mark.full
def test_the_step_compiles_once_on_a_mesh(programs):
    """Left to itself, XLA gives some of the new state another layout than the old had."""
    done = programs.train("compiled on a mesh", "--mesh.data=1", "--mesh.fsdp=4",
                          config="configs/pretrain/albert.py:size=tiny,path=README.md,steps=3",
                          environment={"JAX_NUM_CPU_DEVICES": "4", "JAX_LOG_COMPILES": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Compiling jit(train_step) with") == 1


def test_a_mesh_that_does_not_divide_is_told_before_the_text_is_read(programs):
    done = programs.train("undivided", "--mesh.tensor=4", "--mesh.data=2", environment=DEVICES)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "model: heads 2 of stack/segment_0/0_attention/out does not divide by tensor=4" in (
        done.stderr)
