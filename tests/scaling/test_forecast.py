"""Times and budgets by hand, on a device whose figures are round."""

import dataclasses
import math

import pytest

from transformer.scaling.collectives import Collective, collectives
from transformer.scaling.forecast import Work, forecast, link
from transformer.scaling.hlo import Array
from transformer.scaling.topology import Topology
from transformer.training.devices import Device

DEVICE = Device("TPU round", flops=1e12, bandwidth=1e11, link=1e10)


def sent(megabytes: int, group=(0, 1, 2, 3), kind="all-gather", times=1, others=()):
    return Collective(kind, "fsdp", (Array("s8", (megabytes, 10**6)),), (group, *others), times,
                      True, "", "")


def test_the_arithmetic_of_a_step():
    """4 devices: 30e12 FLOPs of the model and 10e12 again are 10 s; 500 GB are 5 s; 8 runs that
    gather 10 GB each on 4 devices send 7.5 GB each: 6 s."""
    work = Work(flops=30e12, recomputed=10e12, moved=500e9, sent=(sent(10_000, times=8),),
                tokens=840, steps=86_400)
    found = forecast(work, Topology("", DEVICE, (2, 2)))
    assert (found.compute, found.memory, found.network) == pytest.approx((10, 5, 6))
    assert (found.lowest, found.highest) == pytest.approx((10, 21))
    assert found.mfu == pytest.approx((30 / (21 * 4), 0.75))  # what is computed again is no use
    assert found.tokens_per_second == pytest.approx((40, 84))
    assert found.days == pytest.approx((21, 10))
    assert found.chip_hours == pytest.approx((21 * 24 * 4, 10 * 24 * 4))


def test_half_a_chip_is_rented_as_half():
    halves = dataclasses.replace(DEVICE, chips=0.5)
    work = Work(1e12, 0, 0, (), 1, 86_400)
    found = forecast(work, Topology("", halves, (1,)))  # 2 devices
    assert found.days == pytest.approx((0.5, 0.5))
    assert found.chip_hours == pytest.approx((12, 12))


def test_what_leaves_a_host_goes_at_the_speed_between_hosts():
    gpu = dataclasses.replace(DEVICE, kind="NVIDIA", joined=2, beyond=1e9)
    times = lambda *group: forecast(Work(0, 0, 0, (sent(1000, group),), 1, 1),
                                    Topology("", gpu, (4,))).network
    assert times(0, 1) == pytest.approx(0.05)
    assert times(1, 2) == pytest.approx(0.5)
    later = sent(1000, (0, 1), others=((1, 2),))  # one of its groups leaves
    found = forecast(Work(0, 0, 0, (later,), 1, 1), Topology("", gpu, (4,)))
    assert found.network == pytest.approx(0.5)


@pytest.mark.parametrize("attributes, leaves", [
    ("collective-permute(%x), source_target_pairs={{0,1},{7,8}}", True),
    ("collective-permute(%x), source_target_pairs={{0,1},{8,9}}", False),
    ("all-gather(%x), replica_groups=[8,3]<=[24], dimensions={0}", True),  # 0-2, 3-5, 6-8
    ("all-gather(%x), replica_groups=[6,4]<=[24], dimensions={0}", False),
    ("all-gather(%x), replica_groups={{0,1,2},{6,7},{15,16}}, dimensions={0}", True)])
def test_one_group_that_leaves_its_host_makes_all_wait(attributes, leaves):
    """Three hosts of 8."""
    text = f"ENTRY %main (x: f32[4]) -> f32[4] {{\n  ROOT %y = f32[4]{{0}} {attributes}\n}}\n"
    one, = collectives(text, {"data": 8, "tensor": 3})
    gpu = dataclasses.replace(DEVICE, kind="NVIDIA", joined=8, beyond=1e9)
    assert link(one, Topology("", gpu, (3, 8))) == (1e9 if leaves else 1e10)


@pytest.mark.parametrize("unknown", ["flops", "bandwidth", "link"])
def test_what_is_not_known_is_none_and_so_is_what_follows(unknown):
    device = dataclasses.replace(DEVICE, **{unknown: None})
    found = forecast(Work(1, 0, 1, (sent(1, (0, 1)),), 1, 1),
                     Topology("", device, (2,)))
    alone = dict(flops=found.compute, bandwidth=found.memory, link=found.network)
    assert alone.pop(unknown) is None and None not in alone.values()
    assert found.lowest is found.highest is found.mfu is found.days is found.chip_hours is None


def test_a_machine_that_sends_nothing_needs_no_links():
    device = dataclasses.replace(DEVICE, link=None)
    found = forecast(Work(1e12, 0, 1e11, (), 1, 1), Topology("", device, (1,)))
    assert (found.network, found.lowest) == (0, 1) and math.isclose(found.highest, 2)
