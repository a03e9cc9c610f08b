"""The reader of collectives: on programs written by hand, and on what JAX compiles for 8 devices.

The tests of compiled programs read what this file prints when it runs as a program: simulated
devices must be asked for before JAX starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from transformer.scaling.collectives import collectives
from transformer.scaling.hlo import arrays, parse, visits

MESH = {"data": 2, "fsdp": 2, "tensor": 2}
BY_HAND = """HloModule jit_step, is_scheduled=true, num_partitions=8

FileNames
1 "step.py"

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%all-reduce-scatter.3 (input: bf16[64,32]) -> bf16[32,32] {
  %input = bf16[64,32]{1,0:T(8,128)(2,1)} parameter(0)
  %all-reduce.9 = bf16[64,32]{1,0:T(8,128)(2,1)} all-reduce(%input), channel_id=9, \
replica_groups={{0,2},{1,3},{4,6},{5,7}}, use_global_device_ids=true, to_apply=%add
  ROOT %slice = bf16[32,32]{1,0} dynamic-slice(%all-reduce.9, %input), dynamic_slice_sizes={32,32}
}

%wrapped (a: f32[4]) -> f32[8] {
  %a = f32[4]{0} parameter(0)
  ROOT %all-to-all.4 = f32[8]{0} all-to-all(%a), replica_groups=[2,4]<=[2,2,2]T(2,0,1), \
dimensions={0}
}

%inner.condition (i: (s32[], f32[16])) -> pred[] {
  %i = (s32[]{:T(128)}, f32[16]{0}) parameter(0)
  %at = s32[]{:T(128)} get-tuple-element(%i), index=0
  %limit = s32[]{:T(128)} constant(5)
  ROOT %less = pred[] compare(%at, %limit), direction=LT
}

%inner.body (j: (s32[], f32[16])) -> (s32[], f32[16]) {
  %j = (s32[], f32[16]{0}) parameter(0)
  %collective-permute-start = (f32[16]{0}, f32[16]{0}, u32[], \
u32[]) collective-permute-start(%j), source_target_pairs=\
{{0,1},{1,0},{2,3},{3,2},{4,5},{5,4},{6,7},{7,6}}
  %collective-permute-done = f32[16]{0} collective-permute-done(%collective-permute-start)
  %kernel = f32[16]{0} custom-call(%collective-permute-done), \
custom_call_target="tpu_custom_call", backend_config={"body": "
}} no end of a computation
}}
"}
  ROOT %pair = (s32[], f32[16]{0}) tuple(%j, %kernel)
}

%body (p: (s32[], bf16[64,32])) -> (s32[], bf16[64,32]) {
  %p = (s32[], bf16[64,32]{1,0}) parameter(0)
  %scattered = bf16[32,32]{1,0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.3
  %inner = (s32[], f32[16]{0}) while(%p), condition=%inner.condition, body=%inner.body
  %all-gather-start = (f32[4,8]{1,0}, f32[8,8]{1,0}) all-gather-start(%inner), channel_id=2, \
replica_groups=mesh['axis_0'=2,'axis_1'=2,'axis_2'=2] {'axis_1'}, dimensions={0}
  %all-gather-done = f32[8,8]{1,0:S(1)} all-gather-done(%all-gather-start)
  ROOT %out = (s32[], bf16[64,32]{1,0}) tuple(%p, %scattered)
}

ENTRY %main (arg: f32[4]) -> f32[8] {
  %arg = f32[4]{0} parameter(0)
  %outer = (s32[], bf16[64,32]{1,0}) while(%arg), condition=%outer.condition, body=%body, \
backend_config={"known_trip_count":{"n":"3"}}
  %async = ((f32[4]{0}), f32[8]{0}, u32[]) async-start(%arg), calls=%wrapped
  %async.1 = f32[8]{0} async-done(%async), calls=%wrapped
  %both = (f32[8]{0}, f32[2]{0}) all-reduce(%async.1, %arg), replica_groups=mesh['a'=2,'b'=4], \
device_ids=([4,2]T(1,0)) {'b'}, to_apply=%add
  %scatter = f32[2]{0} reduce-scatter(%both), replica_groups=[4,2]<=[8], dimensions={0}, \
to_apply=%add
  %alone = f32[8]{0} all-reduce(%both), replica_groups=[8,1]<=[8], to_apply=%add
  %part = f32[8]{0} all-gather(%scatter), replica_groups=mesh['a'=8] {'a':(2)2}, dimensions={0}
  ROOT %all = f32[8]{0} all-reduce(%part), replica_groups={}, to_apply=%add
}
"""


def test_every_kind_by_hand():
    """Kind, axes, bytes of one run, chips in a group, runs: all counted on paper.

    [2,4]<=[2,2,2]T(2,0,1) has the ids 0 2 4 6: data and fsdp; ([4,2]T(1,0)) with b does too.
    'a':(2)2 of 8 is the middle factor of 2 * 2 * 2, so ids 0 and 2.
    """
    found = [(c.kind, c.axes, c.bytes, c.ways, c.times) for c in collectives(BY_HAND, MESH)]
    assert found == [
        ("reduce-scatter", "fsdp", 64 * 32 * 2, 2, 3),
        ("collective-permute", "tensor", 16 * 4, 2, 15),
        ("all-gather", "fsdp", 8 * 8 * 4, 2, 3),
        ("all-to-all", "data+fsdp", 8 * 4, 4, 1),
        ("all-reduce", "data+fsdp", (8 + 2) * 4, 4, 1),
        ("reduce-scatter", "tensor", 2 * 2 * 4, 2, 1),
        ("all-gather", "fsdp", 8 * 4, 2, 1),
        ("all-reduce", "data+fsdp+tensor", 8 * 4, 8, 1),
    ]


def test_what_a_ring_sends():
    found = {(c.kind, c.times): c.sent for c in collectives(BY_HAND, MESH)}
    assert found["reduce-scatter", 3] == 4096 / 2  # (n - 1) / n of the whole
    assert found["collective-permute", 15] == 64
    assert found["all-reduce", 1] == 2 * 7 / 8 * 32  # scattered, then gathered
    assert found["all-to-all", 1] == 3 / 4 * 32


def test_a_loop_that_does_not_tell_its_turns_counts_once():
    text = BY_HAND.replace("constant(5)", "parameter(1)")
    permute = next(c for c in collectives(text, MESH) if c.kind == "collective-permute")
    assert (permute.times, permute.known) == (3, False)
    assert all(c.known for c in collectives(BY_HAND, MESH))


def test_ids_that_are_not_the_meshs_have_no_axes():
    assert {c.axes for c in collectives(BY_HAND, {"data": 2}) if c.ways == 4} == {""}


def test_arrays_of_a_type():
    kind = "(bf16[4,256]{1,0:T(8,128)(2,1)S(1)}, pred[3]{0}, u32[]{:S(2)}, s4[8]{0}, token[])"
    found = arrays(kind)
    assert [a.bytes for a in found] == [2048, 3, 4, 4, 0]
    assert [a.fast for a in found] == [True, False, False, False, False]


def test_every_branch_of_a_conditional_counts():
    text = BY_HAND.replace(
        "fusion(%p), kind=kCustom, calls=%all-reduce-scatter.3",
        "conditional(%p), branch_computations={%all-reduce-scatter.3, %inner.body}")
    names = Counter(v.instruction.name for v in visits(parse(text)) for _ in range(v.times))
    assert names["all-reduce.9"] == 3 and names["kernel"] == 15 + 3


LAYERS, B, T, D, F = 3, 4, 8, 32, 64


@pytest.fixture(scope="module")
def compiled():
    """{program: [[kind, axes, bytes, times], ...]} of Megatron's feed-forward layer."""
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_PLATFORMS": "cpu",
           "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_tensor_parallel_sends_what_megatron_says(compiled):
    """Shoeybi 2019 §3: one all-reduce of [B, T, D] a layer forward, and one backward."""
    rows = B // 2 * T * D * 4
    both = [one for one in compiled["tensor"] if one[1] == "tensor"]
    assert sum(times for *_, times in both) == 2 * LAYERS
    assert {kind for kind, *_ in both} == {"all-reduce"}
    assert {size for _, _, size, _ in both} == {rows}


def test_data_parallel_reduces_each_gradient_once(compiled):
    """2 D F / 4 weights of each layer on a device, in fp32."""
    total = sum(size * times for _, axes, size, times in compiled["tensor"] if axes == "data")
    assert total == pytest.approx(LAYERS * 2 * D * F / 4 * 4, abs=64)  # and the loss


def test_fsdp_gathers_weights_twice_and_never_rows(compiled):
    """Every weight is whole in the forward and in the backward pass of its layer."""
    gathered = [one for one in compiled["fsdp"] if one[0] == "all-gather"]
    assert {size for _, _, size, _ in gathered} == {D * F * 4}
    assert {axes for _, axes, *_ in gathered} == {"fsdp"}
    assert 3 * LAYERS <= sum(times for *_, times in gathered) <= 4 * LAYERS


def programs() -> dict:
    import jax
    import jax.numpy as jnp
    from jax.sharding import AxisType, NamedSharding
    from jax.sharding import PartitionSpec as P

    def loss(weights, x):
        def layer(x, pair):
            up, down = pair
            made = jax.nn.gelu(jnp.einsum("btd,df->btf", x, up))
            return x + jax.lax.with_sharding_constraint(
                jnp.einsum("btf,fd->btd", made, down), P(rows)), None

        return jnp.sum(jax.lax.scan(layer, x, weights)[0] ** 2)

    told = {}
    for name, sizes, up, down, rows in (
            ("tensor", (2, 1, 4), P(None, None, "tensor"), P(None, "tensor"), "data"),
            ("fsdp", (1, 8, 1), P(None, "fsdp"), P(None, None, "fsdp"), "fsdp")):
        mesh = jax.make_mesh(sizes, tuple(MESH), axis_types=(AxisType.Auto,) * 3)
        shape = lambda dims, spec: jax.ShapeDtypeStruct(
            dims, jnp.float32, sharding=NamedSharding(mesh, spec))
        weights = shape((LAYERS, D, F), up), shape((LAYERS, F, D), down)
        x = shape((B * 2 if name == "fsdp" else B, T, D), P(rows))
        placed = jax.tree.map(lambda leaf: leaf.sharding, weights)
        with jax.set_mesh(mesh):
            step = jax.jit(jax.value_and_grad(loss), out_shardings=(None, placed))
            text = step.lower(weights, x).compile().as_text()
        told[name] = [(c.kind, c.axes, c.bytes, c.times) for c in collectives(text, mesh.shape)]
    return told


if __name__ == "__main__":
    print(json.dumps(programs()))
