"""On eight simulated devices: a state begins in its shares, and answers are those of one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve()


def measured(what: str) -> dict:
    root = HERE.parents[2]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
           "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    words = [sys.executable, str(HERE.with_name("sharded_doors.py")), what]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def begun():
    return measured("beginning")


@pytest.mark.parametrize("start", ["fresh", "from a checkpoint"])
def test_a_state_begins_in_its_shares_with_the_values_of_one_device(begun, start):
    for n in (1, 2):  # 0 is one device
        one = begun[f"{start} {n}"]
        assert one["equal"] and one["in_place"]
        # of the state that one device would hold; a quarter is split both by width and by heads
        assert one["held"] < 0.3
        # of the parameters, while they are drawn, the random bits included
        assert one["drawing"] < 0.7 < begun[f"{start} 0"]["drawing"] / 3


def test_what_a_checkpoint_lacks_is_drawn(begun):
    for n in range(3):
        assert begun[f"fresh {n}"]["fresh"] == []
        assert begun[f"from a checkpoint {n}"]["fresh"] == [
            "heads_more/classes", "heads_more/classes_bias"]


@pytest.mark.full
def test_generated_answers_are_those_of_one_device():
    found = measured("generating")
    for name, tries in found.items():
        if name.endswith("held"):
            assert tries < 0.3, name  # unstacked parameters stay in their shares
            continue
        alone, *meshes = tries
        assert len(meshes) == 2
        for made in meshes:
            assert made["tokens"] == alone["tokens"] and made["lengths"] == alone["lengths"], name
            np.testing.assert_allclose(made["log_probability"], alone["log_probability"], rtol=1e-5)
