"""The original framework on a directory, in a process of its own.

Run as a program it loads the directory with `transformers` and writes what that gives. PyTorch is
imported nowhere else, and code that a directory brings along is never run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from transformer.error import UserError

TOLERANCE, MOST = 2e-5, 2e-4  # ten times the rounding of theirs, between these two

ABSENT = 3  # exit status of the program below where the library has no such class


class Lacking(Exception):
    """The installed library does not have the class; says which, so nothing can be compared."""


class Failed(UserError):
    """The installed library has the class, but cannot run what was written."""

    status = 1


def missing() -> list[str]:
    """Which of the libraries that this needs are not installed."""
    return [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]


def compare(folder: Path, calls: list[dict], ours: list[dict]) -> dict:
    """How far the original framework is from us, over real tokens. Raises as `run`.

    Args:
      calls: inputs under their names, with an attention_mask. ours: our outputs of each call.

    Returns:
      {output: {largest_difference, tolerance, argmax_agreement}}
    """
    theirs, told = run(folder, calls), {}
    shared = [name for name in ours[0] if name in theirs[0]]
    kept = lambda found: [{name: real(call, one[name]) for name in shared}
                          for call, one in zip(calls, found)]
    ours, theirs, exact = kept(ours), kept(theirs), None
    for name in shared:
        largest = _largest(ours, theirs, name)
        if largest > TOLERANCE and exact is None:
            exact = kept(run(folder, calls, double=True))
        rounding = 0.0 if exact is None else _largest(theirs, exact, name)
        agreed = [np.ravel(a[name].argmax(-1) == b[name].argmax(-1))
                  for a, b in zip(ours, theirs)]
        told[name] = {"largest_difference": largest,
                      "tolerance": min(max(TOLERANCE, 10 * rounding), MOST),
                      "argmax_agreement": float(np.concatenate(agreed).mean())}
    return told


def real(call: dict, output: np.ndarray) -> np.ndarray:
    """An output at the tokens that are no padding; whole where it has none for each token."""
    mask = call["attention_mask"]
    return output[mask > 0] if output.shape[:mask.ndim] == mask.shape else output


def _largest(a: list[dict], b: list[dict], name: str) -> float:
    return max(float(np.abs(one[name] - two[name]).max()) for one, two in zip(a, b))


def run(folder: Path, calls: list[dict], double: bool = False) -> list[dict]:
    """What `transformers` gives for each of some inputs, in fp32 or fp64.

    Raises:
      Lacking: it does not know the class.
      Failed: it does, but fails; with the last line that it prints.
    """
    with tempfile.TemporaryDirectory() as place:
        given, taken = Path(place) / "inputs.npz", Path(place) / "outputs.npz"
        np.savez(given, **{f"{n} {name}": a for n, call in enumerate(calls)
                           for name, a in call.items()})
        words = [sys.executable, "-m", __name__, str(folder), str(given), str(taken)]
        done = subprocess.run([*words, "double" if double else "float"], capture_output=True,
                              text=True, check=False)
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        if done.returncode == ABSENT:
            raise Lacking(last)
        if done.returncode:
            raise Failed(f"transformers cannot run the export, so it is not kept: {last}; try "
                         "another version of the library")
        return _numbered(taken, len(calls))


def _numbered(path: Path, count: int) -> list[dict]:
    found: list[dict] = [{} for _ in range(count)]
    with np.load(path) as file:
        for key in file.files:
            n, _, name = key.partition(" ")
            found[int(n)][name] = file[key]
    return found


def versions() -> dict[str, str]:
    """Of the libraries."""
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers")}


def main(folder: str, given: str, taken: str, precision: str) -> None:
    """Runs the class that config.json names."""
    import torch
    import transformers

    name = json.loads((Path(folder) / "config.json").read_text())["architectures"][0]
    kind = getattr(transformers, name, None)
    if kind is None:
        print(f"transformers {transformers.__version__} has no {name}", file=sys.stderr)
        sys.exit(ABSENT)
    model = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True,
                                 use_safetensors=True, attn_implementation="eager").eval()
    model = model.double() if precision == "double" else model
    calls = _numbered(Path(given), 1 + max(int(k.split()[0]) for k in np.load(given).files))
    made = {}
    for n, call in enumerate(calls):
        with torch.no_grad():
            out = model(**{name: torch.as_tensor(a) for name, a in call.items()}, return_dict=True)
        for name, value in out.items():
            if torch.is_tensor(value):
                made[f"{n} {name}"] = value.numpy()
    np.savez(taken, **made)


if __name__ == "__main__":
    main(*sys.argv[1:])
