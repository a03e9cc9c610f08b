"""Import and export of a 498 MB GPT-2: seconds, against reading the same arrays in the one format
and writing them in the other with the libraries of both, and memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import record

GOALS = {"seconds": 2.0, "memory": 1.5}  # over reading and writing; over the size of the file
MAKE = """
import sys, transformers
transformers.GPT2LMHeadModel(transformers.GPT2Config()).save_pretrained(sys.argv[1])
"""
WORK = """
import resource, sys, time
from transformer import load
from pathlib import Path
from transformer.interop import exporting, importing, original, proof
import jax
original.missing = lambda: ["torch"]  # its run of the result is not a part of the writing
jax.devices()
source, target = map(Path, sys.argv[2:])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
proving, prove = [], proof.prove
def timed(*arguments):
    began = time.perf_counter()
    try:
        return prove(*arguments)
    finally:
        proving.append(time.perf_counter() - began)
proof.prove = timed
before, began = peak(), time.perf_counter()
if sys.argv[1] == "import":
    importing.bring(source, target)
else:
    exporting.send(load(source, stored=True), target, keep=False)
print("@", time.perf_counter() - began, before, peak(), sum(proving))
"""
LIBRARIES = """
import sys, time
import jax
import orbax.checkpoint as ocp
from safetensors.numpy import load_file, save_file
jax.devices()
with ocp.PyTreeCheckpointer() as shelf:
    began = time.perf_counter()
    arrays = load_file(sys.argv[1] + "/model.safetensors")
    shelf.save(sys.argv[2] + "/arrays", arrays)
    imported = time.perf_counter() - began
    del arrays
    began = time.perf_counter()
    kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type="np.ndarray"),
                         shelf.metadata(sys.argv[2] + "/arrays").item_metadata.tree)
    save_file(shelf.restore(sys.argv[2] + "/arrays", restore_args=kinds), sys.argv[2] + "/written")
print("@", imported, time.perf_counter() - began)
"""


def run(code: str, *arguments) -> list[float]:
    """The numbers after the @ that a new process prints."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True, check=True,
                          stdout=subprocess.PIPE, cwd=record.RESULTS.parent.parent)
    line = next(line for line in done.stdout.splitlines() if line.startswith("@"))
    return [float(number) for number in line[1:].split()]


def main() -> None:
    parser = record.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    record.pin(options)
    took = {"libraries": [], "import": [], "export": []}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        subprocess.run([sys.executable, "-c", MAKE, str(home / "original")], check=True)
        size = (home / "original" / "model.safetensors").stat().st_size
        for n in range(options.rounds):
            place = home / str(n)
            place.mkdir()
            took["libraries"].append(run(LIBRARIES, home / "original", place))
            took["import"].append(run(WORK, "import", home / "original", place / "step"))
            took["export"].append(run(WORK, "export", place / "step", place / "out"))
            subprocess.run(["rm", "-r", str(place)], check=True)
    middle = {name: [statistics.median(column) for column in zip(*rounds)]
              for name, rounds in took.items()}
    found = {}
    for name, alone in zip(("import", "export"), middle["libraries"]):
        seconds, before, peak, proof = middle[name]
        found[name] = {"seconds": seconds, "proof": proof, "libraries": alone, "before": before,
                       "peak": peak, "time_ratio": (seconds - proof) / alone,
                       "memory_ratio": peak / size, "own_memory_ratio": (peak - before) / size}
        print(f"{name}: {seconds:.2f} s, {proof:.2f} s of it the proof; without it "
              f"{found[name]['time_ratio']:.2f} times the {alone:.2f} s of the libraries (goal "
              f"{GOALS['seconds']}); peak {peak / 1e6:.0f} MB, "
              f"{found[name]['memory_ratio']:.2f} times the file, of which the work took "
              f"{found[name]['own_memory_ratio']:.2f} (goal {GOALS['memory']})")
    record.write(options, "interop", {"bytes": size, "goals": GOALS, **found})


if __name__ == "__main__":
    main()
