"""How long a step takes on a machine: bounds, from what it computes, moves and sends."""

from __future__ import annotations

import dataclasses

from transformer.scaling.collectives import Collective
from transformer.scaling.topology import Topology

DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Work:
    """Of one step. flops: of the model; recomputed: on top of them; both on all devices.

    moved: bytes between one device and its memory. sent: the collectives of one device.
    tokens: of a step. steps: of the run.
    """

    flops: float
    recomputed: float
    moved: float
    sent: tuple[Collective, ...]
    tokens: int
    steps: int


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Seconds of a step at the rates of the data sheet; None where the sheet says nothing.

    compute, memory, network: of each alone. lowest: if all three overlap wholly; highest: if none
    does. Neither knows of latencies, of products too small for the peak, or of waiting for data.
    mfu: FLOPs of the model over what the peak allows in the highest and in the lowest time: the
      second is the ceiling, which no run exceeds.
    tokens_per_second, days, chip_hours: of the slowest and the fastest, days of the whole run.
    """

    compute: float | None
    memory: float | None
    network: float | None
    lowest: float | None
    highest: float | None
    mfu: tuple[float, float] | None
    tokens_per_second: tuple[float, float] | None
    days: tuple[float, float] | None
    chip_hours: tuple[float, float] | None


def forecast(work: Work, topology: Topology) -> Forecast:
    """What the device table says of this work; whatever needs an unknown figure is None."""
    device, size = topology.device, topology.size
    compute = _over((work.flops + work.recomputed) / size, device.flops)
    memory = _over(work.moved, device.bandwidth)
    network = network_seconds(work.sent, topology)
    parts = (compute, memory, network)
    if None in parts:
        return Forecast(*parts, *(None,) * 6)
    lowest, highest = max(parts), sum(parts)
    days = tuple(work.steps * seconds / DAY for seconds in (highest, lowest))
    return Forecast(
        *parts, lowest, highest,
        mfu=tuple(work.flops / (one * size * device.flops) for one in (highest, lowest)),
        tokens_per_second=(work.tokens / highest, work.tokens / lowest), days=days,
        chip_hours=tuple(24 * topology.chips * one for one in days))


def network_seconds(sent, topology: Topology) -> float | None:
    """Seconds to send all this at the rate of the links that it crosses; 0 if there is none."""
    total = 0.0
    for collective in sent:
        seconds = _over(collective.sent * collective.times, link(collective, topology))
        if seconds is None:
            return None
        total += seconds
    return total


def link(collective: Collective, topology: Topology) -> float | None:
    """Bytes/s that a device sends in a collective: of its slowest link, the hosts' if it leaves
    one."""
    inside = all(len({chip // topology.joined for chip in group}) == 1
                 for group in collective.groups)
    return topology.device.link if inside else topology.device.beyond


def _over(amount: float, rate: float | None) -> float | None:
    if amount == 0:
        return 0.0
    return amount / rate if rate else None
