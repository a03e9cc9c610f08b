"""Programs started as a user starts them, on a text of a few kilobytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = pathlib.Path(__file__).parent / "tiny_run.py"
WALL = ("tokens_per_second", "seconds_data", "seconds_step", "mfu")  # what the clock decides


@dataclasses.dataclass(frozen=True)
class Programs:
    """The programs with one text and one cache; `folder` holds the runs."""

    folder: pathlib.Path
    text: pathlib.Path

    @property
    def environment(self) -> dict:
        return {**os.environ, "TRANSFORMER_CACHE": str(self.folder / "cache"),
                "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}

    def arguments(self, run: str, *more: str, config: str = "") -> list[str]:
        """config: arguments of tiny_run.py beside the text, or another config."""
        tiny = f"{CONFIG}:text={self.text}" + f",{config}" * bool(config)
        return [sys.executable, str(ROOT / "train.py"), config if ".py" in config else tiny,
                f"--workdir={self.folder / run}", *more]

    def train(self, run: str, *more: str, environment=None,
              config: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(self.arguments(run, *more, config=config), cwd=ROOT, text=True,
                              capture_output=True, timeout=300,
                              env={**self.environment, **(environment or {})})

    def begin(self, run: str, *more: str) -> subprocess.Popen:
        return subprocess.Popen(self.arguments(run, *more), cwd=ROOT, env=self.environment,
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self.environment,
                              text=True, capture_output=True, timeout=300)

    def log(self, run: str) -> list[dict]:
        """metrics.jsonl without what the clock decides."""
        lines = (self.folder / run / "metrics.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k not in WALL} for line in lines]

    def state(self, run: str, step: int) -> str:
        """A hash of every array in the state of a step."""
        code = ("import sys, hashlib, numpy as np, jax\n"
                "from transformer.training.restore import shapes\n"
                "import orbax.checkpoint as ocp\n"
                "tree = ocp.PyTreeCheckpointer().restore(sys.argv[1] + '/state')\n"
                "digest = hashlib.sha256()\n"
                "for path, leaf in jax.tree_util.tree_leaves_with_path(tree):\n"
                "    digest.update(str(path).encode() + np.asarray(leaf).tobytes())\n"
                "print(digest.hexdigest())\n")
        step_directory = self.folder / run / "checkpoints" / f"{step:08d}"
        done = self.python("-c", code, str(step_directory))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Programs:
    folder = tmp_path_factory.mktemp("runs")
    text = folder / "some text.txt"  # a space in the path, as users have them
    words = [hashlib.sha256(str(n).encode()).hexdigest()[:n % 9 + 1] for n in range(1500)]
    text.write_text("\n".join(" ".join(words[n:n + 12]) for n in range(0, 1500, 12)) + "\n")
    return Programs(folder, text)


@pytest.fixture(scope="session")
def whole(programs) -> str:
    """The name of a run that nothing interrupted."""
    done = programs.train("whole")
    assert done.returncode == 0, done.stderr
    return "whole"
