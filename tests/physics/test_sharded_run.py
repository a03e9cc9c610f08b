"""Eight simulated devices train as one does, in every family, along every axis of the mesh.

`sharded_step.py` runs the real training step, once on one device and once on a mesh, and measures;
here is what must come out: gradients at equal parameters within 1e-5 of a leaf's largest (1e-6
absolute), losses of five steps within 1e-5, shares of bytes, and which collectives there are.
"""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from families import ALL

MESHES = {  # sizes of the axes; slices that the batch is cut into
    "data": (dict(data=8), 1), "fsdp": (dict(fsdp=4), 1), "tensor": (dict(tensor=4), 1),
    "sequence": (dict(sequence=4), 1), "rows": (dict(data=2, fsdp=2, tensor=2), 2),
    "positions": (dict(fsdp=2, tensor=2, sequence=2), 1)}
SMALLER = {("electra", "tensor"): (dict(tensor=2), 1)}  # its generator has two heads
COVER = (("gpt2", "fsdp"), ("gpt2", "tensor"), ("electra", "rows"), ("t5", "positions"))
SPLIT = {"tensor": "HGFV", "fsdp": "DR"}  # each axis cuts one such dimension of a parameter
HERE = Path(__file__).resolve()


def sizes_of(name: str, mesh: str) -> tuple[dict, int]:
    return SMALLER.get((name, mesh), MESHES[mesh])


@functools.cache
def measured(cases: tuple) -> dict:
    """What `sharded_step.measure` says of each case, from one new process."""
    root = HERE.parents[2]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
           "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    cells = [(name, *sizes_of(name, mesh)) for name, mesh in cases]
    words = [sys.executable, str(HERE.with_name("sharded_step.py")), json.dumps(cells)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("case", COVER, ids="-".join)
def test_a_mesh_trains_as_one_device(case):
    check(measured(COVER)[case], *case)


@pytest.mark.full
@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("name", ALL)
def test_every_family_on_every_mesh(name, mesh):
    check(measured(tuple((name, each) for each in MESHES))[name, mesh], name, mesh)


def check(one: dict, name: str, mesh: str):
    sizes, _ = sizes_of(name, mesh)
    losses_agree(one)
    assert max(one["errors"].values()) < 1, one["errors"]  # in units of what is allowed
    shared(one, sizes)
    talks_no_more_than_it_must(one, sizes)


def losses_agree(one: dict):
    alone, found = one["losses"], one["sharded_losses"]
    assert len(found) == len(alone) == 5
    assert alone[-1] < 0.995 * alone[0]  # it learns
    assert max(abs(a / b - 1) for a, b in zip(found, alone)) < 1e-5, (found, alone)


def shared(one: dict, sizes: dict):
    wanted = promised(one["shapes"], sizes)
    assert wanted < 0.55 or not set(sizes) & set(SPLIT)  # most of a model is split
    for part, share in one["shares"].items():
        assert share == pytest.approx(wanted, rel=1e-6), part


def promised(shapes: dict, sizes: dict) -> float:
    """The share of the parameters' bytes on one device, by their letters alone."""
    from transformer.ops.placement import letters

    def ways(path, shape):
        cuts = [sizes.get(axis, 1) for axis, cut in SPLIT.items() if any(
            letter in cut and size % sizes.get(axis, 1) == 0
            for letter, size in zip(letters(path, len(shape)), shape))]
        return math.prod(cuts)

    parts = {path: math.prod(shape) for path, shape in shapes.items()}
    return sum(n / ways(path, shapes[path]) for path, n in parts.items()) / sum(parts.values())


def talks_no_more_than_it_must(one: dict, sizes: dict):
    """Logits stay where they are, and stacked parameters come one layer at a time."""
    from sharded_step import VOCAB

    found = [(kind, tuple(shape)) for kind, shapes in one["collectives"] for shape in shapes]
    kinds = {kind for kind, _ in found}
    assert "all-reduce" in kinds
    if set(sizes) == {"data"}:  # nothing but gradients and sums
        assert kinds == {"all-reduce"}, found
    parameters = {tuple(sorted(shape)) for shape in one["shapes"].values()}
    stacked = {tuple(shape) for path, shape in one["shapes"].items() if "segment_" in path}
    for kind, shape in found:
        if kind == "all-reduce" and "sequence" not in sizes and "tensor" not in sizes:
            continue  # of gradients, as long as the parameters
        if len(shape) > 1 and VOCAB in shape:  # of a table, not of logits, and not over its rows
            assert tuple(sorted(shape)) in parameters and "tensor" not in sizes, (kind, shape)
        assert kind == "all-reduce" or len(shape) < 3 or shape not in stacked, (kind, shape)
    if "fsdp" in sizes:
        assert "all-gather" in kinds  # of parameters, when they are needed
