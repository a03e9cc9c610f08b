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
COVER = (("gpt2", "fsdp"), ("gpt2", "tensor"), ("gpt2", "sequence"), ("electra", "rows"),
         ("t5", "positions"))
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

    found = [(kind, axes, times, tuple(dims)) for kind, axes, times, shapes in one["collectives"]
             for dims in shapes]
    assert {axis for _, axes, _, _ in found for axis in axes.split("+")} == set(sizes)
    if set(sizes) == {"data"}:  # nothing but gradients and sums
        assert {kind for kind, *_ in found} == {"all-reduce"}, found
    stacked = {tuple(shape) for path, shape in one["shapes"].items() if "segment_" in path}
    layers = {shape[1:]: shape[0] for shape in stacked}
    tensor = sizes.get("tensor", 1)
    whole = stacked | {(*shape[:n], size // tensor, *shape[n + 1:]) for shape in stacked
                       for n, size in enumerate(shape) if n and size % tensor == 0}
    for kind, _, times, dims in found:
        if kind == "all-reduce":
            continue  # of gradients, which have the shapes of parameters, and of partial products
        if VOCAB in dims and len(dims) > 1 or VOCAB // sizes.get("tensor", 1) in dims:
            table(dims, kind, one["shapes"], sizes.get("tensor", 1))
        assert len(dims) < 3 or dims not in whole, (kind, dims)  # not all layers at once
        if kind == "all-gather" and len(dims) > 1 and set(sizes) == {"fsdp"} and dims in layers:
            assert times >= layers[dims], dims  # one layer at a time
    if "fsdp" in sizes:
        assert any(kind == "all-gather" for kind, *_ in found)  # parameters, when they are needed


def table(dims, kind: str, shapes: dict, tensor: int):
    """It has the vocabulary as long as it is on a device, and must be a table, not logits."""
    from sharded_step import VOCAB

    tables = {math.prod(shape) // tensor for shape in shapes.values() if VOCAB in shape}
    assert VOCAB // tensor in dims and math.prod(dims) in tables, (kind, dims)
