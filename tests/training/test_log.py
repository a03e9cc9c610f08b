"""metrics.jsonl: strict JSON on every line, torn lines repaired, no step twice or missing."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from transformer.error import UserError
from transformer.training.log import Log, read_metrics


def strict(path):
    """The lines, each parsed by a reader that refuses NaN and Infinity."""
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")
    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def write(directory, steps, **options):
    with Log(directory, **options) as log:
        for step in steps:
            log.write({"step": step, "loss": step / 2})
    return log


def test_what_is_written_is_read_back(tmp_path):
    with Log(tmp_path) as log:
        log.write({"step": 1, "loss": np.float32(0.5), "mfu": None, "batch_hash": "ab"})
        assert read_metrics(tmp_path) == [{"step": 1, "loss": 0.5, "mfu": None, "batch_hash": "ab"}]


def test_numbers_that_are_not_finite_stay_visible_in_strict_json(tmp_path):
    with Log(tmp_path) as log:
        log.write({"step": 3, "loss": np.float32("nan"), "grad_norm": -math.inf, "lr": 1e-3})
    assert strict(log.path) == [{"step": 3, "loss": None, "grad_norm": None, "lr": 1e-3,
                                 "not_finite": {"loss": "nan", "grad_norm": "-inf"}}]
    record, = read_metrics(tmp_path)
    assert math.isnan(record["loss"]) and record["grad_norm"] == -math.inf
    assert "not_finite" not in record


def test_a_resumed_run_has_each_step_once(tmp_path):
    write(tmp_path, range(10))
    assert write(tmp_path, range(7, 12), restored=6).dropped == 3
    assert [r["step"] for r in read_metrics(tmp_path)] == list(range(12))


def test_a_fresh_start_empties_the_file(tmp_path):
    write(tmp_path, range(3))
    assert write(tmp_path, [5]).dropped == 3
    assert [r["step"] for r in read_metrics(tmp_path)] == [5]


@pytest.mark.parametrize("tail", [
    b'{"step": 3, "lo', b'{"step": 3, "loss": 1.0}\n', b"\x00" * 100, b"\xff\xfe\n", b"[3]\n",
    b'{"loss": 1}\n', b"\n"])
def test_torn_lines_are_repaired(tmp_path, tail):
    path = write(tmp_path, range(3)).path
    with open(path, "ab") as file:
        file.write(tail)
    assert write(tmp_path, [3], restored=2).dropped == 1
    assert [r["step"] for r in strict(path)] == [0, 1, 2, 3]


def test_a_whole_line_that_only_lost_its_end_is_kept(tmp_path):
    path = write(tmp_path, range(3)).path
    path.write_bytes(path.read_bytes()[:-1])
    assert write(tmp_path, [3], restored=2).dropped == 0
    assert [r["step"] for r in strict(path)] == [0, 1, 2, 3]


def test_repair_touches_nothing_when_all_is_well(tmp_path):
    path = write(tmp_path, range(3)).path
    before = path.stat().st_ino, path.read_bytes()
    assert write(tmp_path, [], restored=2).dropped == 0
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_a_line_is_there_at_once(tmp_path):
    with Log(tmp_path) as log:
        log.write({"step": 1})
        assert len(strict(log.path)) == 1


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")
    with Log(tmp_path) as log:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(UserError, match="metrics.jsonl: step 1 .*No space left on device"):
            log.write({"step": 1})
        monkeypatch.undo()


def test_mirrors_get_the_numbers(tmp_path):
    class Mirror:
        seen, closed = [], False

        def write(self, step, numbers):
            self.seen.append((step, numbers))

        def close(self):
            self.closed = True

    mirror = Mirror()
    with Log(tmp_path, mirrors=[mirror]) as log:
        log.write({"step": np.int32(2), "loss": np.float32(0.25), "mfu": None, "batch_hash": "a"})
    assert mirror.seen == [(2, {"loss": 0.25})] and mirror.closed


WRITING = """
import sys
from transformer.training.log import Log
step = int(sys.argv[2])
log = Log(sys.argv[1], restored=step or None)
print("open", flush=True)
while True:
    step += 1
    log.write({"step": step, "loss": 1 / step, "padding": "x" * (step % 5000)})
"""


def kill_while_logging(directory, times, seed):
    chance, restored = random.Random(seed), 0
    for _ in range(times):
        process = subprocess.Popen([sys.executable, "-c", WRITING, str(directory), str(restored)],
                                   stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "open\n"
            time.sleep(chance.uniform(0, 0.05))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        steps = [r["step"] for r in read_metrics(directory)]
        restored = chance.randint(0, len(steps))  # the last checkpoint may be older than the log
        Log(directory, restored or None).close()
        steps = [r["step"] for r in strict(directory / "metrics.jsonl")]
        assert steps == list(range(1, restored + 1))


def test_killed_at_random_times(tmp_path):
    kill_while_logging(tmp_path, 8, seed=0)


@pytest.mark.full
def test_killed_at_many_random_times(tmp_path):
    kill_while_logging(tmp_path, 100, seed=1)


def test_the_log_starts_without_jax():
    code = ("import transformer.training.log, transformer.training.lock, sys; "
            "assert 'jax' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
