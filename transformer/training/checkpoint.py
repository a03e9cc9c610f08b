"""Saving a run's state so that a crash, a full disk or a flipped bit never costs the good one.

DIR/checkpoints/00000100/{state/, files of the caller, manifest.json}. A step is written beside
its place while training goes on, synced, hashed, read back and renamed; only then are older steps
removed.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from transformer.error import UserError
from transformer.spec import to_json
from transformer.training import manifest
from transformer.training.hosts import Alone
from transformer.training.restore import plain, restore_state
from transformer.training.shelf import Shelf

_SPARE = 2**20  # bytes of room for everything that is not the state


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Checkpoints:
    """The checkpoints of the run in `directory`. Open it only while holding the run's lock.

    Rotation keeps the `keep_last` newest steps and the `keep_best` ones whose `metric` is best
    (`better` is "lower" or "higher"). `warn` receives one-line messages. As a context manager it
    waits at the end for the save under way.

    Of several `hosts` all save and restore together, each its own part of the arrays; process 0
    does the rest once all parts are on disk, and what it finds there the others are told.
    """

    def __init__(self, directory, keep_last: int = 3, keep_best: int = 1,
                 metric: str = "validation_loss", better: str = "lower", warn=_to_stderr,
                 hosts=Alone()):
        if keep_last < 1 or keep_best < 0 or better not in ("lower", "higher"):
            raise UserError(f"checkpoints: keep_last ({keep_last}) starts at 1, keep_best "
                            f"({keep_best}) at 0, and better ({better!r}) is lower or higher")
        self.keep_last, self.keep_best = keep_last, keep_best
        self.metric, self.better, self.warn = metric, better, warn
        self.hosts, self.shelf = hosts, Shelf(Path(directory) / "checkpoints")
        if hosts.first:
            self.shelf.open()
        self._writer = ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler())
        self._thread: threading.Thread | None = None
        self._error: UserError | None = None
        self._verified: set[int] = set()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_):
        self.wait()

    def path(self, step: int) -> Path:
        """The directory of a step, whether it exists or not."""
        return self.shelf.path(step)

    def save(self, step: int, state, files: dict | None = None, metric: float | None = None):
        """Starts to save and returns; a save still under way is waited for.

        `state` is a tree of arrays, which the caller may donate at once. `files` maps names to
        what becomes JSON, or to functions that fill the directory given to them (called in
        another thread). A step saved again without a metric keeps the one it had.

        Raises:
          UserError: an earlier save failed, or the disk has no room for this one.
        """
        self.wait()
        self.hosts.agree(0)  # process 0 hashes longer than the others' barriers would wait
        tree, fill = plain(state), {n: filler(value) for n, value in (files or {}).items()}
        self._verified.discard(step)
        try:
            if self.hosts.first:
                self._require_room(step, tree)
                shutil.rmtree(self.shelf.temporary(step), ignore_errors=True)
                self.shelf.temporary(step).mkdir()
            self._writer.save(self.shelf.temporary(step) / "state", args=ocp.args.PyTreeSave(tree))
        except UserError:
            raise
        except Exception as error:
            self._failed(step, error)
            self.check()
        finish = (self._finish, (step, fill, self._facts(step, metric)))
        target, arguments = finish if self.hosts.first else (self._follow, (step,))
        self._thread = threading.Thread(target=target, args=arguments)
        self._thread.start()

    def check(self) -> None:
        """Raises the UserError of a save that failed in the background; cheap, call every step."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Returns when nothing is being saved; raises what `check` raises."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def latest_good(self) -> int | None:
        """The newest step whose manifest holds; damaged newer ones are named through `warn`.

        None: there is no checkpoint. Raises UserError when there are some but none is good.
        """
        self.wait()
        return self._first_good(lambda: self.shelf.steps()[::-1])

    def best_good(self) -> int | None:
        """The step with the best metric whose manifest holds, or None without any metric."""
        self.wait()
        return self._first_good(lambda: self.shelf.by_metric(self.metric, self.better))

    def restore(self, step: int, abstract):
        """The state of a step as `restore_state` reads it, its manifest checked before."""
        return restore_state(self.path(step), abstract, verified=step in self._verified)

    def _first_good(self, steps: Callable[[], list[int]]) -> int | None:
        step, damage = self.hosts.once(lambda: self.shelf.first_good(steps()))
        self._verified.add(step)
        for line in damage if self.hosts.first else ():
            self.warn(f"damaged checkpoint: {line}; using step {step} instead")
        return step

    def _facts(self, step: int, metric: float | None) -> dict:
        """What the manifest says of a step; saved again without a metric it keeps its own."""
        if metric is None:
            metric = self.shelf.facts(step).get("metric", {}).get(self.metric)
        known = metric is not None and math.isfinite(metric)
        return {"step": step, "run": self.shelf.run,
                "metric": {self.metric: float(metric) if known else None}}

    def _follow(self, step: int) -> None:
        """What is left to do for a process that is not the first."""
        try:
            self._writer.wait_until_finished()
        except Exception as error:
            self._failed(step, error)

    def _finish(self, step: int, fill: dict[str, Callable], facts: dict) -> None:
        temporary = self.shelf.temporary(step)
        try:
            self._writer.wait_until_finished()
            for name, into in fill.items():
                into(temporary / name)
            manifest.write(temporary, facts)
            self.shelf.put(step)
            self._rotate(step)
        except Exception as error:
            self._failed(step, error)

    def _failed(self, step: int, error: Exception) -> None:
        shutil.rmtree(self.shelf.temporary(step), ignore_errors=True)  # the disk may be full
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self._error = UserError(f"saving step {step} in {self.shelf.home} failed: {line}; the "
                                "checkpoints before it are whole")
        self._error.__cause__ = error

    def _rotate(self, newest: int) -> None:
        """Steps above `newest` were passed over as damaged, or came from elsewhere: they stay."""
        steps = [s for s in self.shelf.steps() if s <= newest]
        best = self.shelf.by_metric(self.metric, self.better)[:self.keep_best]
        for step in steps[:-self.keep_last]:
            if step not in best:
                self.shelf.remove(step)

    def _require_room(self, step: int, tree) -> None:
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + _SPARE
        free = shutil.disk_usage(self.shelf.home).free
        if free < needed:
            raise UserError(f"saving step {step} needs {needed / 1e6:,.1f} MB, but the disk of "
                            f"{self.shelf.home} has {free / 1e6:,.1f} MB free; free some, or keep "
                            "fewer checkpoints")


def filler(value) -> Callable[[Path], None]:
    """What writes an entry of `files` (see `Checkpoints.save`) to the path given to it."""
    if callable(value):
        return lambda path: (path.mkdir(), value(path))
    text = json.dumps(to_json(value), indent=1) + "\n"
    return lambda path: path.write_text(text, encoding="utf-8")
