"""The suite ends in its time, with everything it began, and says what did not fit."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks import goals, record, suite
from benchmarks.suite import Item

CHILD = """
import os, subprocess, sys, time
if len(sys.argv) > 2:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]])
else:
    with open(sys.argv[1] + ".new", "w") as out:
        out.write(str(os.getpid()))
    os.replace(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""


def test_what_does_not_fit_is_said(monkeypatch):
    took = {"good": (0, 30), "bad": (3, 30), "stuck": (None, 40), "late": (0, 1)}
    clock, given = [1000.0], []

    def within(command, seconds):
        status, duration = took[command[-1].removeprefix("benchmarks.")]
        given.append(seconds)
        clock[0] += duration
        return status

    monkeypatch.setattr(suite, "within", within)
    monkeypatch.setattr(suite.time, "monotonic", lambda: clock[0])
    items = [Item("good", "good"), Item("bad", "bad"), Item("long", "long", (), 41),
             Item("stuck", "stuck"), Item("late", "late", (), 5)]
    assert suite.run(items, 100 / 60) == (["bad"], ["long", "stuck", "late"])
    assert given == [100, 70, 40]


def test_what_a_program_began_ends_with_it(tmp_path):
    note = tmp_path / "process"
    assert suite.within([sys.executable, "-c", "raise SystemExit(3)"], 60) == 3
    assert suite.within([sys.executable, "-c", CHILD, str(note), CHILD], 2) is None
    if note.exists():  # on a busy machine the inner one has not begun
        ends = time.monotonic() + 20
        while alive(int(note.read_text())) and time.monotonic() < ends:
            time.sleep(0.1)
        assert not alive(int(note.read_text()))


def alive(process: int) -> bool:
    """Whether it runs; one that nobody has fetched yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("items", [
    suite.cpu(8, "fp32"), suite.accelerator("published"), suite.accelerator("tiny")])
def test_items_are_programs(items):
    assert len({item.name for item in items}) == len(items)
    for item in items:
        assert Path(record.__file__).with_name(f"{item.module}.py").is_file(), item
    assert items[0].name.startswith("train_")  # what matters most


def test_the_suites_measure_every_row_of_the_page():
    """A row that nothing measures would stay empty for ever."""
    made = {"cpu": suite.cpu(8, "fp32"), "accelerator": suite.accelerator("published")}
    for kind, rows in (("cpu", goals.cpu({})), ("accelerator", goals.accelerator({}, True))):
        names = [item.name for item in made[kind]]
        for row in rows:
            stem = row.result.replace("_fp32", "").replace("_bf16", "").removesuffix("_none")
            assert any(stem.startswith(name) for name in names), row


def test_tiny_sizes_are_no_results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    options = record.parser("").parse_args([])
    assert record.write(options, "train_x", {"scale": "tiny"}, "NVIDIA H200") is None
    path = record.write(options, "train_x", {"scale": "published"}, "NVIDIA H200 NVL")
    assert path == tmp_path / "nvidia-h200-nvl" / "train_x.json" and path.is_file()
    assert record.write(options, "y", {}) == tmp_path / "y.json"
