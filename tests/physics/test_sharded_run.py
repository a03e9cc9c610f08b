"""Eight simulated devices compute what one computes: loss, every gradient, the same dropout.

The tests read what this file prints when it runs as a program: simulated devices must be asked for
before JAX starts, and would slow every other test down.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from families import ALL

MESHES = (dict(data=2, fsdp=2, tensor=2), dict(fsdp=2, tensor=2, sequence=2),
          dict(data=2, tensor=4))  # the last: llama and palm have fewer key-value heads
# Family, number of the mesh, with dropout or without.
COVER = (("gpt2", 0, False), ("palm", 2, False), ("electra", 0, True), ("t5", 1, False))
REFUSED = {("electra", 2)}  # its generator has two heads, which four devices cannot share
GRID = tuple((name, n, True) for name in ALL for n in range(len(MESHES))
             if (name, n) not in REFUSED)
SPLIT = {"tensor": "HGFV", "fsdp": "DR"}  # each axis cuts one such dimension of a parameter
HERE = Path(__file__).resolve()


def measured(cases) -> dict:
    """What `measure` says of each case, from one new process."""
    root = HERE.parents[2]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
           "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    words = [sys.executable, str(HERE), json.dumps(cases)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.fixture(scope="module")
def cover():
    return measured(COVER)


@pytest.fixture(scope="module")
def grid():
    return measured(GRID)


@pytest.mark.parametrize("case", COVER, ids=str)
def test_loss_and_gradients_equal_one_device(cover, case):
    equal(cover[case])


@pytest.mark.parametrize("case", COVER, ids=str)
def test_the_work_was_shared(cover, case):
    shared(cover[case], MESHES[case[1]])


@pytest.mark.full
@pytest.mark.parametrize("case", GRID, ids=str)
def test_every_family_on_every_mesh(grid, case):
    equal(grid[case])
    shared(grid[case], MESHES[case[1]])


def equal(one):
    assert abs(one["sharded_loss"] / one["loss"] - 1) < 1e-5
    assert max(one["errors"].values()) < 1e-5, one["errors"]


def shared(one, sizes):
    assert one["bytes_share"] == pytest.approx(one["promised_share"], rel=1e-6)
    assert one["bytes_share"] < 0.4  # most of a model is split, not a few of its leaves
    rows = [axis for axis in ("data", "fsdp") if axis in sizes]
    assert one["hidden"][0] == one["logits"][0] == (rows if len(rows) > 1 else rows[0])
    assert one["logits"][2] == "tensor"
    if "sequence" in sizes:
        assert one["hidden"][1] == one["logits"][1] == "sequence"
    assert one["collectives"] > 0


def promised(params: dict, sizes: dict) -> float:
    """The share of the parameters' bytes on one device, by their letters alone."""
    from transformer.ops.placement import letters
    from transformer.training.paths import named

    def ways(path, leaf):
        dimensions = list(zip(letters(path, leaf.ndim), leaf.shape))
        cuts = [sizes.get(axis, 1) for axis, cut in SPLIT.items() if any(
            letter in cut and size % sizes.get(axis, 1) == 0 for letter, size in dimensions)]
        return math.prod(cuts)

    leaves = named(params)
    return (sum(leaf.nbytes / ways(path, leaf) for path, leaf in leaves.items())
            / sum(leaf.nbytes for leaf in leaves.values()))


def measure(name: str, sizes: dict, dropout: bool) -> dict:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from conftest import distinct, make

    from transformer.ops.placement import Mesh, batch_shardings, parameter_shardings

    small = make(name)
    batch = distinct(small.spec, rows=8, length=12, source=8)
    if not dropout:  # positions of one row, as in batches that are not packed
        batch = {name: leaf for name, leaf in batch.items() if "positions" not in name}
    batch["targets"] = (batch["tokens"] * 7 + 3) % 256
    key = jax.random.key(1) if dropout else None
    head = "logits" if "logits" in dict(small.spec.heads) else "mlm"

    def loss(params, batch):
        out = small.model.apply(params, batch, key)
        score = jax.nn.log_softmax(out[head])
        picked = jnp.take_along_axis(score, batch["targets"][..., None], -1)
        others = sum((out[name] ** 2).mean() for name, _ in small.spec.heads if name != head)
        return others - picked.mean(), {"hidden": out["hidden"], "logits": out[head]}

    step = jax.value_and_grad(loss, has_aux=True)
    (alone, _), want = jax.jit(step)(small.params, batch)
    mesh = Mesh(**{"data": 1, **sizes}).build()
    params = jax.device_put(small.params, parameter_shardings(small.params, mesh))
    batch = jax.device_put(batch, batch_shardings(batch, mesh))
    with jax.set_mesh(mesh):
        program = jax.jit(step).lower(params, batch).compile()
        (shared, out), got = program(params, batch)
    want, got = jax.tree.map(np.asarray, (want, got))
    top = max(np.abs(leaf).max() for leaf in jax.tree.leaves(want))

    def error(a, b):  # a gradient that is 0 but for rounding is measured against the largest
        return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-2 * top))

    errors = jax.tree_util.tree_leaves_with_path(jax.tree.map(error, got, want))
    size = lambda leaf: leaf.addressable_shards[0].data.nbytes
    return {
        "loss": float(alone), "sharded_loss": float(shared),
        "errors": {jax.tree_util.keystr(p): e for p, e in errors},
        "bytes_share": sum(map(size, jax.tree.leaves(params)))
        / sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
        "promised_share": promised(small.params, sizes),
        "collectives": sum(program.as_text().count(f" {word}") for word in
                           ("all-reduce(", "all-gather(", "reduce-scatter(", "all-to-all(")),
        **{n: [list(a) if isinstance(a, tuple) else a for a in x.sharding.spec]
           + [None] * (x.ndim - len(x.sharding.spec)) for n, x in out.items()},
    }


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    cases = json.loads(sys.argv[1])
    print(json.dumps([measure(name, MESHES[n], dropout) for name, n, dropout in cases]))
