"""Where the checkpoints of a run lie: DIR/checkpoints/00000100, one directory for each step.

A name of digits alone is a whole step. `.tmp` marks one being written or removed, `.replaced` one
whose successor of the same step is about to take its place. Every step carries the name of its
run in its manifest; steps of another run that lie here are neither restored nor removed.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from transformer.error import UserError
from transformer.training import manifest

_TEMPORARY, _REPLACED = ".tmp", ".replaced"


def on_disk(home) -> list[int]:
    """The steps in a `checkpoints` directory, oldest first, whatever their state and run."""
    names = [p.name for p in Path(home).glob("*") if p.is_dir() and _is_step(p)]
    return sorted(map(int, names))


def find(path) -> Path:
    """The step directory that `path` means: itself, or the newest good step of a run's directory.

    Raises:
      UserError: there is none, or none is good.
    """
    path = Path(path)
    if (path / manifest.NAME).is_file() or _is_step(path):
        if not path.is_dir():
            raise UserError(f"{path}: there is no such checkpoint")
        return path
    home = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    shelf = Shelf(home)
    if (step := shelf.first_good(list(reversed(on_disk(home))))[0]) is None:
        raise UserError(f"{path}: no checkpoint here; name a step directory or a run's directory")
    return shelf.path(step)


class Shelf:
    """The steps of one run in `home`. Reading changes nothing; `open` readies it for writing."""

    def __init__(self, home):
        self.home = Path(home).absolute()
        self.run: str | None = None

    def open(self) -> Shelf:
        """Creates the directory, removes what a killed save left behind, and names the run."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._clean()
        self.run = self._identity()
        return self

    def path(self, step: int) -> Path:
        """The directory of a step, whether it exists or not."""
        return self.home / f"{step:08d}"

    def temporary(self, step: int) -> Path:
        """Where a step is written, or removed."""
        return self.home / f"{step:08d}{_TEMPORARY}"

    def steps(self) -> list[int]:
        """Steps of this run, oldest first, unverified."""
        return [s for s in on_disk(self.home) if self.facts(s).get("run", self.run) == self.run]

    def facts(self, step: int) -> dict:
        """The manifest of a step; empty when it cannot be read."""
        try:
            return manifest.read(self.path(step))
        except UserError:
            return {}

    def first_good(self, steps: list[int]) -> tuple[int | None, list[str]]:
        """The first of the steps whose manifest holds, and a line for each damaged one before it.

        Raises:
          UserError: there are steps, but none is good.
        """
        damage: list[str] = []
        for step in steps:
            found = manifest.problems(self.path(step))
            if not found:
                return step, damage
            damage.append(found[0])
        if damage:
            raise UserError(f"{self.home}: no good checkpoint is left: {damage[0]}; restore it "
                            "from a copy, or remove the directory to start again")
        return None, damage

    def by_metric(self, name: str, better: str) -> list[int]:
        """Steps that have the metric, best first; the later of equals comes first."""
        sign = 1 if better == "lower" else -1
        values = {s: self.facts(s).get("metric", {}).get(name) for s in reversed(self.steps())}
        return sorted((s for s in values if values[s] is not None), key=lambda s: sign * values[s])

    def put(self, step: int) -> None:
        """Moves the finished `temporary(step)` to its place, atomically and durably."""
        place = self.path(step)
        replaced = place.with_name(place.name + _REPLACED)
        if place.exists():
            other = self.facts(step).get("run", self.run)
            aside = replaced if other == self.run else place.with_name(f"{place.name}.{other}")
            place.rename(aside)
        self.temporary(step).rename(place)
        manifest.sync_directory(self.home)
        shutil.rmtree(replaced, ignore_errors=True)

    def remove(self, step: int) -> None:
        """Removes a step. It loses its name first: half a step must not look like a whole one."""
        self.path(step).rename(self.temporary(step))
        shutil.rmtree(self.temporary(step), ignore_errors=True)

    def _identity(self) -> str:
        """The run's name: in the file `run`, else that of the newest step, else a new one."""
        path = self.home / "run"
        if not path.is_file() or not path.read_text(encoding="utf-8").strip():
            known = (self.facts(s).get("run") for s in reversed(on_disk(self.home)))
            name = next(filter(None, known), uuid.uuid4().hex)
            path.write_text(name + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()

    def _clean(self) -> None:
        for path in self.home.glob(f"*{_REPLACED}"):
            if path.with_suffix("").exists():
                shutil.rmtree(path, ignore_errors=True)
            else:  # killed between two renames: what was to be replaced is still the good one
                path.rename(path.with_suffix(""))
        for path in self.home.glob(f"*{_TEMPORARY}"):
            if _is_step(path.with_suffix("")):
                shutil.rmtree(path, ignore_errors=True)


def _is_step(path: Path) -> bool:
    """By its name. A run may be named alike, by its date, but it has `checkpoints`, a step none."""
    name = path.name
    digits = len(name) >= 8 and name.isascii() and name.isdigit()
    return digits and not (path / "checkpoints").is_dir()
