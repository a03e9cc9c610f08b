"""Import and export of a 498 MB GPT-2 against copying its weights once: seconds and memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import record

GOALS = {"seconds": 2.0, "memory": 1.5}  # over copying; over the size of the file
WORK = """
import resource, sys, time
from transformer import load
from transformer.interop import exporting, importing, original
import jax
original.missing = lambda: ["torch"]  # its run of the result is not a part of the writing
jax.devices()
source, target = sys.argv[2:]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
proof, prove = [], exporting.prove
def timed(*arguments):
    began = time.perf_counter()
    try:
        return prove(*arguments)
    finally:
        proof.append(time.perf_counter() - began)
exporting.prove = timed
before, began = peak(), time.perf_counter()
if sys.argv[1] == "import":
    from pathlib import Path
    importing.bring(Path(source), Path(target))
else:
    from pathlib import Path
    exporting.send(load(source, stored=True), Path(target), keep=False)
print("@", time.perf_counter() - began, before, peak(), sum(proof))
"""
COPY = """
import os, sys, time
began = time.perf_counter()
with open(sys.argv[1], "rb") as old, open(sys.argv[2], "wb") as new:
    while part := old.read(1 << 24):
        new.write(part)
    new.flush()
    os.fsync(new.fileno())
print("@", time.perf_counter() - began)
"""


def run(code: str, *arguments) -> list[float]:
    """The numbers after the @ that a new process prints."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True, check=True,
                          stdout=subprocess.PIPE, cwd=record.RESULTS.parent.parent)
    line = next(line for line in done.stdout.splitlines() if line.startswith("@"))
    return [float(number) for number in line[1:].split()]


def original(folder: Path) -> int:
    """Writes a GPT-2 small with random weights; the bytes of its weights."""
    import transformers

    transformers.GPT2LMHeadModel(transformers.GPT2Config()).save_pretrained(folder)
    return (folder / "model.safetensors").stat().st_size


def main() -> None:
    parser = record.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    record.pin(options)
    took = {"copy": [], "import": [], "export": []}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        size = original(home / "original")
        run(COPY, home / "original" / "model.safetensors", home / "warm")
        for n in range(options.rounds):
            place = home / str(n)
            place.mkdir()
            took["copy"].append(run(COPY, home / "original" / "model.safetensors", place / "copy"))
            took["import"].append(run(WORK, "import", home / "original", place / "step"))
            took["export"].append(run(WORK, "export", place / "step", place / "out"))
            subprocess.run(["rm", "-r", str(place)], check=True)
    middle = {name: [statistics.median(column) for column in zip(*rounds)]
              for name, rounds in took.items()}
    copy, found = middle["copy"][0], {}
    print(f"copying {size / 1e6:.0f} MB: {copy:.2f} s")
    for name in ("import", "export"):
        seconds, before, peak, proof = middle[name]
        found[name] = {"seconds": seconds, "proof": proof, "before": before, "peak": peak,
                       "time_ratio": (seconds - proof) / copy, "memory_ratio": peak / size}
        one = found[name]
        print(f"{name}: {seconds:.2f} s, {proof:.2f} s of it the proof: without it "
              f"{one['time_ratio']:.2f} times the copy (goal {GOALS['seconds']}); peak "
              f"{peak / 1e6:.0f} MB, {one['memory_ratio']:.2f} times the file (goal "
              f"{GOALS['memory']}), {before / 1e6:.0f} MB of it there before")
    record.write(options, "interop", {"bytes": size, "copy": copy, "goals": GOALS, **found})


if __name__ == "__main__":
    main()
