"""Runs of several real processes on this machine, each with simulated devices."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "faults" / "tiny_run.py"
PATIENCE = 150  # seconds for what takes a few on an idle machine


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Starts runs of the tiny experiment with batches of 8 rows in two slices."""

    folder: pathlib.Path
    text: pathlib.Path

    def begin(self, run: str, number: int, *flags: str, devices: int = 1, config=(), **extra: str):
        """One process, of another config if one is given; `extra` goes into its environment."""
        config = config or (f"{CONFIG}:text={self.text},steps=4000", "--batch=8")
        environment = {**os.environ, "TRANSFORMER_CACHE": str(self.folder / "cache"),
                       "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
                       "JAX_NUM_CPU_DEVICES": str(devices),
                       "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **extra}
        words = [sys.executable, str(ROOT / "train.py"), *config,
                 f"--workdir={self.folder / run}", *flags]
        with open(self.folder / f"{run}.{number}.out", "a") as out:
            return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=out,
                                    stderr=subprocess.STDOUT)

    @contextlib.contextmanager
    def together(self, run: str, count: int, *flags: str, devices: int = 1, config=()):
        """`count` processes of one run; those that are left at the end are killed."""
        where = [f"--coordinator=localhost:{free_port()}", f"--processes={count}"]
        processes = [self.begin(run, n, *where, f"--process={n}", *flags, devices=devices,
                                config=config)
                     for n in range(count)]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def alone(self, run: str, *flags: str, config=()) -> None:
        """The run as one process, to its end."""
        assert self.begin(run, 0, *flags, config=config).wait(PATIENCE) == 0, self.said(run, 0)

    def wait_for_step(self, run: str, step: int, processes) -> None:
        """Returns when `step` is logged; fails if a process ends before."""
        until = time.monotonic() + PATIENCE
        while not any(record["step"] >= step for record in self.log(run)):
            ended = [n for n, process in enumerate(processes) if process.poll() is not None]
            assert not ended, "".join(self.said(run, n) for n in range(len(processes)))
            assert time.monotonic() < until, self.said(run, 0)
            time.sleep(0.05)

    def log(self, run: str) -> list[dict]:
        """The whole lines of metrics.jsonl so far."""
        path = self.folder / run / "metrics.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def summary(self, run: str) -> dict:
        """The summary of a finished run."""
        return json.loads((self.folder / run / "summary.json").read_text())

    def said(self, run: str, number: int) -> str:
        """What a process has printed, without gloo's remarks."""
        text = (self.folder / f"{run}.{number}.out").read_text()
        return re.sub(r"^.*(\[Gloo\]|peer ranks).*\n", "", text, flags=re.M)  # in parts, at times


def statuses(processes, seconds: float = PATIENCE) -> list[int]:
    """The exit statuses, an abort as the shell shows it."""
    until = time.monotonic() + seconds
    found = [process.wait(max(until - time.monotonic(), 0.01)) for process in processes]
    return [128 - status if status < 0 else status for status in found]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]
