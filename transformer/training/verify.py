"""`python -m transformer verify CHECKPOINT`: compare checkpoints with their manifests."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from transformer.error import UserError
from transformer.training import manifest
from transformer.training.shelf import on_disk


def command(arguments: list[str]) -> int:
    """Prints each step and what is wrong with it; 0 when all are good, 1 otherwise.

    Raises:
      UserError: there is no checkpoint at the path.
    """
    parser = argparse.ArgumentParser(prog="python -m transformer verify", description=(
        "Compare every file of a checkpoint, or of all checkpoints below a directory, "
        "with its manifest (bytes, sha256). Exit status 1: something is damaged."))
    parser.add_argument("checkpoint", type=Path, help="a step directory, or the directory of a run")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the result here")
    options = parser.parse_args(arguments)
    report = {str(step): manifest.problems(step) for step in _steps(options.checkpoint)}
    for step, lines in report.items():
        print(f"{step}: {'damaged' if lines else 'good'}", *lines, sep="\n  ")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(report.values()))


def _steps(path: Path) -> list[Path]:
    homes = [path, *sorted(path.rglob("checkpoints"))]
    found = [home / f"{step:08d}" for home in dict.fromkeys(homes) for step in on_disk(home)]
    if found:
        return found
    if not path.is_dir() or not (path.name.isdigit() or (path / manifest.NAME).is_file()):
        raise UserError(f"{path}: no checkpoint here; name a step directory or a run's directory")
    return [path]
