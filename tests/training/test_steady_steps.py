"""What a run does at every step, seen from outside: after the second step nothing is traced or
compiled, and a step is on its way before the metrics of the one before are waited for."""

from pathlib import Path

import jax
import pytest

import train
from transformer import launch
from transformer.training import loop
from transformer.training.log import Log

CONFIG = Path(__file__).parents[1] / "faults" / "tiny_run.py"
STEPS = 8


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """What happened in a short run, in order: "compile", "place", "step", "read", ("log", n)."""
    happened = []

    def noting(name, function):
        def call(*arguments, **options):
            happened.append(name)
            return function(*arguments, **options)

        return call

    def note_program(name, duration, **_):
        if name.startswith("/jax/core/compile/"):
            happened.append("compile")

    write = Log.write
    monkeypatch.setattr(Log, "write", lambda log, record: (
        happened.append(("log", record["step"])), write(log, record))[1])
    monkeypatch.setattr(launch, "place_batch", noting("place", launch.place_batch))
    # the loop's own reads: those of a checkpoint are none of its steps
    monkeypatch.setattr(loop.jax, "device_get", noting("read", jax.device_get))
    run = loop.Loop.run

    def watched(self, *arguments):
        happened.clear()
        self.doors.step = noting("step", self.doors.step)
        return run(self, *arguments)

    monkeypatch.setattr(loop.Loop, "run", watched)
    monkeypatch.setenv("TRANSFORMER_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"the tale of line {n} and what it says" for n in range(60)))
    jax.monitoring.register_event_duration_secs_listener(note_program)
    try:
        assert train.main([f"{CONFIG}:text={text}", f"--workdir={tmp_path / 'run'}",
                           f"--steps={STEPS}", "--evaluate_every=0", "--save_every=0"]) == 0
    finally:
        jax.monitoring.unregister_event_duration_listener(note_program)
    return happened[:happened.index(("log", STEPS - 1)) + 1]


def test_a_steady_step(seen):
    second = seen.index(("log", 2))
    assert "compile" in seen[:second]
    assert "compile" not in seen[second:], "a step was traced again"
    reads, steps = 0, 0
    for event in seen:
        steps += event == "step"
        reads += event == "read"
        if event == "read":  # of step `reads`, when the one after is under way
            assert steps == reads + 1, seen
    assert reads >= STEPS - 2
