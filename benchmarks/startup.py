"""Import time beyond jax's own, and what the compilation cache saves at the second start."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import record

GOAL = 1.5  # seconds beyond importing jax, for everything that training imports
DOORS = ("transformer.launch", "transformer.nn.door", "transformer.training.loop",
         "transformer.training.step", "transformer.objectives.next_token",
         "transformer.data.stream", "transformer.generation.generate")
COMPILE = """
import sys, time
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
hits = []
jax.monitoring.register_event_listener(
    lambda name, **_: hits.append(name) if name.endswith("/compilation_cache/cache_hits") else None)
from benchmarks import ours
from benchmarks.shapes import SHAPES
from transformer.nn.context import Run
began = time.perf_counter()
ours.training("gpt", SHAPES["gpt"], Run(dtype=ours.DTYPES[sys.argv[1]]))
print("@", time.perf_counter() - began, len(hits))
"""


def run(code: str, *arguments: str, **environment: str) -> tuple[float, list[float]]:
    """Seconds of a new process, and the numbers after the @ that it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], text=True, check=True,
                          stdout=subprocess.PIPE, env=os.environ | environment,
                          cwd=record.RESULTS.parent.parent)
    seconds = time.perf_counter() - began
    lines = [line[1:].split() for line in done.stdout.splitlines() if line.startswith("@")]
    return seconds, [float(number) for line in lines for number in line]


def imports(rounds: int = 7) -> dict[str, float]:
    """Median seconds of a process that imports nothing, jax, the package, or all of the doors."""
    codes = {"python": "pass", "jax": "import jax", "package": "import transformer",
             "doors": "import jax, " + ", ".join(DOORS)}
    took = {name: [] for name in codes}
    for turn in range(rounds + 1):
        for name, code in codes.items():
            seconds = run(code)[0]
            if turn:  # the first reads from the disk
                took[name].append(seconds)
    return {name: statistics.median(times) for name, times in took.items()}


def starts(precision: str) -> list[dict[str, float]]:
    """Seconds until the GPT shape's step is ready, at the first start and at the second."""
    with tempfile.TemporaryDirectory() as cache:
        runs = [run(COMPILE, precision, JAX_COMPILATION_CACHE_DIR=cache)[1] for _ in range(2)]
    return [{"seconds": seconds, "cache_hits": hits} for seconds, hits in runs]


def main() -> None:
    parser = record.parser(__doc__)
    options = parser.parse_args()
    record.pin(options)
    took = imports()
    beyond = took["doors"] - took["jax"]
    first, second = starts(options.precision)
    print(f"imports: python {took['python']:.2f} s, jax {took['jax']:.2f} s, all of training "
          f"{took['doors']:.2f} s: {beyond:.2f} s beyond jax (goal {GOAL})")
    print(f"step ready after {first['seconds']:.1f} s at the first start, {second['seconds']:.1f} "
          f"s at the second ({second['cache_hits']:.0f} programs from the cache)")
    record.write(options, "startup", {"imports": took, "beyond_jax": beyond, "goal": GOAL,
                                      "first": first, "second": second})


if __name__ == "__main__":
    main()
