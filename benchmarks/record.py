"""What every benchmark leaves behind: where it ran, and its numbers as JSON."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
WRITTEN = (":(top,exclude)benchmarks/results", ":(top,exclude)docs/speed.md")  # by benchmarks
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "sentencepiece", "grain", "torch",
            "transformers")


def parser(text: str, minutes: float | None = None) -> argparse.ArgumentParser:
    """Options that the benchmarks share. minutes: the default, None for those that take none."""
    made = argparse.ArgumentParser(description=text, allow_abbrev=False)
    made.add_argument("--precision", choices=("fp32", "bf16"), default="fp32",
                      help="of the arithmetic, on both sides (default: %(default)s)")
    made.add_argument("--cores", type=cores, metavar="N,N", default=None,
                      help="pin everything to these cores (default: all that are allowed)")
    made.add_argument("--json", type=Path, metavar="PATH",
                      help="where the numbers go (default: benchmarks/results/)")
    if minutes is not None:
        made.add_argument("--minutes", type=float, default=minutes,
                          help="measuring time, without preparation (default: %(default)s)")
    return made


def cores(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def pin(options) -> int:
    """Keeps this process and those it starts on the chosen cores; how many they are."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    if options.cores:
        os.sched_setaffinity(0, options.cores)
    return len(os.sched_getaffinity(0))


def environment() -> dict:
    """Date, processor and versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "processor": processor(), "python": platform.python_version(), "versions": versions,
            "load": os.getloadavg(), "commit": commit()}


def commit() -> str | None:
    """The commit that is checked out, with a + where files differ from it, but for results."""
    told = lambda *words: subprocess.run(["git", *words], cwd=RESULTS, capture_output=True,
                                         text=True).stdout.strip()
    try:
        now = told("rev-parse", "--short", "HEAD")
        changed = told("status", "--porcelain", "-uno", "--", ":/", *WRITTEN)
        return now + "+" * bool(changed) if now else None
    except OSError:
        return None


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write(options, name: str, numbers: dict, device: str = "cpu") -> Path | None:
    """Writes the numbers of a benchmark and returns where they are.

    device: what they were measured on; every accelerator has a folder of its own. Sizes that only
    try the program are no results: they are written where --json says, or nowhere.
    """
    if numbers.get("scale") == "tiny" and not options.json:
        return None
    folder = RESULTS if device == "cpu" else RESULTS / re.sub(r"[^a-z0-9]+", "-", device.lower())
    path = options.json or folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(environment() | {"benchmark": name} | numbers, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written to {path}")
    return path
