"""Seconds from the start of a process to the end of its first training step: the first time, and
when the compiled programs are in the persistent cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks import record
from benchmarks.workloads import SCALES

WORKLOAD = "gpt2_124m"
GOALS = {"cold": 40.0, "warm": 15.0}  # seconds, on one H200
CHILD = """
import json, sys
from transformer.launch import configure
configure()
import jax
from benchmarks import accelerator_ours, ours
from benchmarks.workloads import SCALES
from transformer.nn.context import Run
scale, workload, precision = sys.argv[1:]
work = SCALES[scale][workload]
accelerator_ours.training(work, Run(dtype=ours.DTYPES[precision]), work.micro[-1])
print("@", json.dumps({"device": jax.devices()[0].device_kind}), flush=True)
"""


def start(options, cache: str) -> tuple[float, dict]:
    """(seconds until the step is done, what the process says of itself)."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, options.scale, WORKLOAD, options.precision],
        text=True, stdout=subprocess.PIPE, cwd=record.RESULTS.parent.parent,
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache,
                          "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
                          "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"})
    for line in child.stdout:
        if line.startswith("@ "):
            seconds = time.perf_counter() - began
            child.communicate()
            return seconds, json.loads(line[2:])
    raise SystemExit(f"the child ended with status {child.wait()}")


def main() -> None:
    parser = record.parser(__doc__)
    parser.add_argument("--scale", choices=SCALES, default="published")
    parser.set_defaults(precision="bf16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        (cold, about), (warm, _) = start(options, cache), start(options, cache)
    print(f"{WORKLOAD}: first step after {cold:.1f} s cold (goal {GOALS['cold']:.0f}), "
          f"{warm:.1f} s warm (goal {GOALS['warm']:.0f})")
    record.write(options, "first_step", {
        "workload": WORKLOAD, "scale": options.scale, "precision": options.precision,
        "cold": cold, "warm": warm, "goals": GOALS, **about}, about["device"])


if __name__ == "__main__":
    main()
