"""A run that was stopped or killed goes on as if it never had been: bit for bit."""

import random
import signal
import time

import pytest

STEPS = 12


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
    for _ in range(kills):
        process = programs.begin(run)
        try:
            process.communicate(timeout=draw.uniform(1.0, 8.0))
        except Exception:
            process.kill()
            process.communicate()
    assert programs.train(run).returncode == 0


def test_killed_at_random_times(programs, whole):
    killed_and_continued(programs, "killed", random.Random(0), 3)
    same_as_whole(programs, whole, "killed")


@pytest.mark.full
def test_killed_at_many_random_times(programs, whole):
    draw = random.Random(1)
    for n in range(10):
        killed_and_continued(programs, f"killed{n}", draw, 3)
        same_as_whole(programs, whole, f"killed{n}")


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
