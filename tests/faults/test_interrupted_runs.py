"""A run that was stopped or killed goes on as if it never had been: bit for bit."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from transformer.error import guarded

STEPS = 12
ROOT = pathlib.Path(__file__).parents[2]


def wait_for_step(programs, run, step, process):
    """Returns when the log has reached `step`; fails when the process ends before."""
    path = programs.folder / run / "metrics.jsonl"
    for _ in range(3000):
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        if process.poll() is not None:
            pytest.fail(f"ended before step {step}: {process.stderr.read()}")
        time.sleep(0.02)
    pytest.fail("timed out")


def same_as_whole(programs, whole, run):
    assert programs.log(run) == programs.log(whole)
    assert programs.state(run, STEPS) == programs.state(whole, STEPS)


def test_two_runs_are_equal(programs, whole):
    assert programs.train("again").returncode == 0
    same_as_whole(programs, whole, "again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_and_the_same_command_goes_on(programs, whole, number):
    run = f"stopped{number}"
    process = programs.begin(run)
    wait_for_step(programs, run, 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the run was over before the signal came")
    assert process.returncode == 128 + number, err
    assert "the same command continues" in out
    assert "Traceback" not in err
    again = programs.train(run)
    assert again.returncode == 0, again.stderr
    assert "resumes" in again.stdout
    same_as_whole(programs, whole, run)


def killed_and_continued(programs, run, draw, kills):
    """Kills the run after some logged step, at any moment from there to its end; goes on."""
    inside = 0
    for _ in range(kills):
        process = programs.begin(run)
        log = programs.folder / run / "metrics.jsonl"
        begun = len(log.read_text().splitlines()) if log.exists() else 0
        while process.poll() is None and (
                not log.exists() or len(log.read_text().splitlines()) <= min(begun, STEPS)):
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.8))
        inside += process.poll() is None
        process.kill()
        process.communicate()
    assert programs.train(run).returncode == 0
    return inside


def test_killed_at_random_times(programs, whole):
    assert killed_and_continued(programs, "killed", random.Random(0), 3)
    same_as_whole(programs, whole, "killed")


@pytest.mark.full
def test_killed_at_many_random_times(programs, whole):
    draw, inside = random.Random(1), 0
    for n in range(10):
        inside += killed_and_continued(programs, f"killed{n}", draw, 3)
        same_as_whole(programs, whole, f"killed{n}")
    assert inside >= 10


def signalled(programs, run, seconds):
    """A signal so long after the start, and the same command again; the first exit status."""
    process = programs.begin(run)
    time.sleep(seconds)
    process.terminate()
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10 and "Traceback" not in err
    assert process.returncode in (0, 143, -15), err  # -15: Python itself was still starting
    assert programs.train(run).returncode == 0
    return process.returncode


def test_a_signal_during_set_up_and_compilation(programs, whole):
    for n, seconds in enumerate((1.5, 3.0)):
        signalled(programs, f"early{n}", seconds)
        same_as_whole(programs, whole, f"early{n}")


@pytest.mark.full
def test_a_signal_at_any_time(programs, whole):
    found = []
    for n in range(16):
        found.append(signalled(programs, f"any{n}", 0.4 * n))
        same_as_whole(programs, whole, f"any{n}")
    assert found.count(143) >= 5, found


def at_work(programs, module, *command):
    """A program that has just imported a module, so that Python is neither starting nor ending."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *command], cwd=ROOT, text=True,
        env=programs.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if line.split()[-1:] == [module]:
            return process
    pytest.fail(f"ended before it imported {module}")


def test_ctrl_c_has_a_status():
    def command(arguments):
        raise KeyboardInterrupt

    assert guarded(command, []) == 130


def test_ctrl_c_while_judging_is_no_traceback(programs, whole):
    """The status may be 0: Python drops an interrupt that falls into a destructor."""
    process = at_work(programs, "transformer.judge", "evaluate.py", str(programs.folder / whole))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    told = err.partition("Exception ignored")[0]
    assert process.returncode in (0, 130) and "Traceback" not in told, err


def test_a_signal_while_generating_is_no_traceback(programs, whole):
    process = at_work(programs, "transformer.generation.prompt", "-m", "transformer", "generate",
                      str(programs.folder / whole), "--prompt=ab", "--tokens=4")
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM and "Traceback" not in err, err


def test_of_two_started_at_once_one_runs(programs, whole):
    both = [programs.begin("at once"), programs.begin("at once")]
    found = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert sorted(status for *_, status in found) == [0, 2]
    runner = next(p for p, (*_, status) in zip(both, found) if status == 0)
    refusal = next(err for _, err, status in found if status == 2)
    assert str(runner.pid) in refusal and refusal.count("\n") == 1
    same_as_whole(programs, whole, "at once")


def test_two_devices_and_slices_train_as_one_device_does(programs, whole):
    done = programs.train("two devices", "--mesh.data=2", environment={
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2"})
    assert done.returncode == 0 and "2 x cpu" in done.stdout, done.stderr
    for mine, one in zip(programs.log("two devices"), programs.log(whole), strict=True):
        assert mine.get("batch_hash") == one.get("batch_hash")
        for name in {"loss", "grad_norm", "validation_loss"} & one.keys():
            assert mine[name] == pytest.approx(one[name], rel=1e-5), (one["step"], name)


def test_a_prolonged_run_that_is_interrupted_goes_on(programs):
    assert programs.train("prolonged", "--steps=8").returncode == 0
    process = programs.begin("prolonged", "--steps=600")
    wait_for_step(programs, "prolonged", 12, process)
    process.terminate()
    assert process.wait(timeout=60) == 143
    process.communicate()
    done = programs.train("prolonged", "--steps=600", "--log_every=100")
    assert done.returncode == 0 and "finished before" not in done.stdout, done.stderr
    assert programs.log("prolonged")[-1]["step"] == 600


def test_a_step_that_is_no_number_is_skipped_told_and_survived(programs, whole):
    done = programs.train("poisoned", config="poisoned=21")  # step 6 reads examples 20 to 23
    assert done.returncode == 0, done.stderr
    log = {r["step"]: r for r in programs.log("poisoned") if "loss" in r}
    assert sorted(log) == list(range(1, STEPS + 1))
    assert [step for step, record in log.items() if record["skipped"]] == [6]
    assert log[6]["loss"] is None and log[6]["not_finite"]["loss"] == "nan"
    assert json.loads((programs.folder / "poisoned" / "summary.json").read_text())["skipped"] == 1
    untouched = {r["step"]: r for r in programs.log(whole) if "loss" in r}
    assert log[5]["loss"] == untouched[5]["loss"] and log[7]["loss"] != untouched[7]["loss"]
    assert log[6]["batch_hash"] == untouched[6]["batch_hash"]


@pytest.mark.full
def test_interrupted_after_every_step(programs, whole):
    for step in range(1, STEPS):
        run = f"after{step}"
        process = programs.begin(run)
        wait_for_step(programs, run, step, process)
        process.terminate()
        process.communicate(timeout=60)
        assert programs.train(run).returncode == 0
        same_as_whole(programs, whole, run)


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(programs, whole):
    assert programs.train("damaged", "--keep_last=5").returncode == 0
    home = programs.folder / "damaged" / "checkpoints"
    victim = max((p for p in (home / "00000012" / "state").rglob("*") if p.is_file()),
                 key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    (programs.folder / "damaged" / "summary.json").unlink()
    again = programs.train("damaged", "--keep_last=5")
    assert again.returncode == 0, again.stderr
    assert "damaged checkpoint" in again.stderr and "step 8" in again.stderr
    same_as_whole(programs, whole, "damaged")


def test_a_second_run_in_the_directory_is_refused_while_the_first_goes_on(programs):
    process = programs.begin("busy")
    wait_for_step(programs, "busy", 1, process)
    process.send_signal(signal.SIGSTOP)
    try:
        second = programs.train("busy")
    finally:
        process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()
    assert second.returncode == 2
    assert str(process.pid) in second.stderr and second.stderr.count("\n") == 1
