"""Which rows of a batch each process makes; what all make together is the whole batch."""

import dataclasses
import hashlib

import jax
import numpy as np
import pytest

from transformer.data.stream import batch_hash, row_digests
from transformer.ops.placement import Mesh
from transformer.training import share as module
from transformer.training.share import share


@dataclasses.dataclass(frozen=True)
class Device:
    process_index: int


class Laid:
    """A sharding: the devices of some processes and the columns that each of them holds."""

    def __init__(self, *columns):
        self.columns = columns

    def devices_indices_map(self, shape):
        return {(Device(process), n): (slice(None), slice(*part))
                for n, (process, part) in enumerate(self.columns)}


class Keyed(dict):
    def items(self):
        return [(device, index) for (device, _), index in super().items()]


@pytest.fixture
def laid(monkeypatch):
    """laid(Laid, batch, slices) -> the share of each process."""
    def shares(sharding, batch, slices):
        whole = sharding.devices_indices_map
        monkeypatch.setattr(module, "batch_shardings", lambda *_, **__: sharding)
        monkeypatch.setattr(sharding, "devices_indices_map", lambda shape: Keyed(whole(shape)))
        processes = sorted({process for process, _ in sharding.columns})
        return [share(batch, slices, None, process) for process in processes]
    return shares


# two hosts of two devices; rows in slices; axes that span hosts; hosts whose rows are not together
LAYOUTS = {
    "rows": (Laid((0, (0, 2)), (0, (2, 4)), (1, (4, 6)), (1, (6, 8))), 8, 1),
    "slices": (Laid((0, (0, 1)), (0, (1, 2)), (1, (2, 3)), (1, (3, 4))), 8, 2),
    "tensor over hosts": (Laid((0, (0, 2)), (1, (0, 2)), (2, (2, 4)), (3, (2, 4))), 8, 2),
    "turns": (Laid((0, (0, 1)), (1, (1, 2)), (0, (2, 3)), (1, (3, 4))), 8, 2),
    "all alike": (Laid((0, (0, 4)), (1, (0, 4))), 8, 2),
}


def batch_of(count, choices):
    draw = np.random.default_rng(count)
    return {"tokens": draw.integers(0, 99, (count * choices, 5)).astype(np.int32),
            "labels": draw.integers(0, 9, count).astype(np.int32)}


def made(batch, count, rows):
    """What a stream makes of the wanted rows."""
    group = lambda a: a.reshape(count, len(a) // count, *a.shape[1:])[list(rows)]
    return {name: group(a).reshape(-1, *a.shape[1:]) for name, a in batch.items()}


@pytest.mark.parametrize("choices", [1, 3])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_row_counts_once_and_the_hash_is_that_of_the_batch(laid, name, choices):
    layout, count, slices = LAYOUTS[name]
    shares, batch = laid(layout, count, slices), batch_of(count, choices)
    assert sorted(row for one in shares for row in one.own) == list(range(count))
    digests, total = [], 0
    for one in shares:
        mine = one.owned(made(batch, count, one.rows))
        digests.append([d.hex() for d in row_digests(mine)] if one.own else [])
        total += int(mine["tokens"].sum()) if one.own else 0
    assert {one.hash(digests) for one in shares} == {batch_hash(batch)}
    assert total == batch["tokens"].sum()


def test_rows_follow_the_devices(laid):
    assert [one.rows for one in laid(*LAYOUTS["slices"])] == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert [one.rows for one in laid(*LAYOUTS["turns"])] == [(0, 2, 4, 6), (1, 3, 5, 7)]
    spread = laid(*LAYOUTS["tensor over hosts"])
    assert [one.rows for one in spread] == [(0, 1, 4, 5)] * 2 + [(2, 3, 6, 7)] * 2
    assert [one.own for one in spread] == [(0, 1, 4, 5), (), (2, 3, 6, 7), ()]


@pytest.mark.parametrize("choices", [1, 3])
def test_a_device_reads_its_part_of_the_global_array(laid, choices):
    layout, count, slices = LAYOUTS["turns"]
    batch = batch_of(count, choices)
    for one in laid(layout, count, slices):
        mine = made(batch, count, one.rows)
        for name, array in batch.items():
            whole = array.reshape(slices, len(array) // slices, *array.shape[1:])
            read = one._reader(mine[name], whole.shape)
            each = len(array) // count
            for column in range(count // slices):
                if column not in one.rows:
                    continue
                index = (slice(None), slice(column * each, (column + 1) * each))
                np.testing.assert_array_equal(read(index), whole[index])
                if array.ndim > 1:  # a mesh that splits positions as well
                    part = (*index, slice(1, 3))
                    np.testing.assert_array_equal(read(part), whole[part])


def test_one_process_has_all(laid):
    one = share(8, 2, Mesh().build(jax.devices()[:1]), 0)
    assert one.rows == one.own == one.everywhere == tuple(range(8))
    batch = batch_of(8, 1)
    assert one.owned(batch) is batch
    digests = [[digest.hex() for digest in row_digests(batch)]]
    assert one.hash(digests) == batch_hash(batch)
    assert hashlib.sha256(b"").hexdigest() != one.hash(digests)
