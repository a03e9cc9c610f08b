"""Sides of a comparison, each in a process of its own, that take turns on the same cores.

A side is started as `python -m benchmarks.sides MODULE SIDE OPTIONS`: it prepares itself with
`MODULE.prepare(SIDE, options)`, which returns (facts about it, a function that measures once),
and then measures each time that it is asked. Whoever is not asked sleeps.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MARK = "@ "  # begins the lines that are answers; libraries print others
ROOT = Path(__file__).resolve().parent.parent


class Side:
    """One process. about: what it says of itself; results: one dict per turn."""

    def __init__(self, module: str, name: str, options: dict, settings: dict[str, str]):
        self.name, self.results = name, []
        environment = os.environ | settings
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sides", module, name, json.dumps(options)],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.about = self.answer()

    def answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line[len(MARK):])
        raise SystemExit(f"the side {self.name!r} ended with status {self.process.wait()}")

    def turn(self) -> None:
        print("go", file=self.process.stdin, flush=True)
        self.results.append(self.answer())

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)

    def median(self, key: str) -> float:
        return statistics.median(result[key] for result in self.results)


# A GPU belongs to all sides: each takes what it needs when it needs it, or a share of its own
GROWING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def race(module: str, names, options: dict, seconds: float, rounds: int = 5,
         settings: dict[str, str] = GROWING, alone: bool = False) -> list[Side]:
    """Every side once a round, in alternating order, for so long and at least so many rounds.

    settings: environment variables of the sides. alone: whether the first side goes on, without
    those of the others that cannot begin.
    """
    with contextlib.ExitStack() as stack:
        sides = []
        for name in names:
            print(f"preparing {name} ...", file=sys.stderr, flush=True)
            try:
                sides.append(Side(module, name, options, settings))
            except SystemExit as error:
                if not (alone and sides):
                    raise
                print(error, file=sys.stderr, flush=True)
                continue
            stack.callback(sides[-1].end)
        for side in sides:  # the first turn warms up
            side.turn()
            side.results.clear()
        began, turn = time.monotonic(), 0
        while turn < rounds or time.monotonic() - began < seconds:
            for side in sides if turn % 2 == 0 else reversed(sides):
                time.sleep(0.1)  # spinning threads of the side before have gone to sleep
                side.turn()
            turn += 1
        return sides


def main(module: str, name: str, options: str) -> None:
    about, measure = importlib.import_module(module).prepare(name, json.loads(options))
    print(MARK + json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(MARK + json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
