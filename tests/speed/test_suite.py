"""The suite ends in its time, with everything it began, and says what did not fit."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import goals, record, suite
from benchmarks.suite import Item

STUCK = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {!r}]).wait()"
WRITE = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(60)"


class Fake(Item):
    """An item whose argument is the program."""

    def command(self):
        return [sys.executable, "-c", *self.arguments]


def test_what_does_not_fit_is_said(tmp_path):
    note = tmp_path / "process"
    items = [Fake("good", "", ("pass",), 0), Fake("bad", "", ("raise SystemExit(3)",), 0),
             Fake("long", "", ("raise SystemExit(0)",), 500),
             Fake("stuck", "", (STUCK.format(WRITE.format(str(note))),), 0),
             Fake("late", "", ("pass",), 0)]
    began = time.monotonic()
    assert suite.run(items, 2.5 / 60) == (["bad"], ["long", "stuck", "late"])
    assert time.monotonic() - began < 10
    if note.exists():  # the program that the program began has gone with it
        assert not alive(int(note.read_text()))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]
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
