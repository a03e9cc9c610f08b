"""Every instant of a stretch of time goes to what kept the device busy, or to why nothing did."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

DATA, HOST, COLLECTIVE, OTHER = "data wait", "host", "collectives", "other"


class Op(NamedTuple):
    """Something the device did, in nanoseconds. label: what the time is counted as. kind: as in
    `program.Instruction`."""

    start: float
    end: float
    label: str
    kind: str = "compute"


class Span(NamedTuple):
    """Something the host did, in nanoseconds. label: DATA or HOST."""

    start: float
    end: float
    label: str


def attribute(ops: Iterable[Op], spans: Iterable[Span], start: float, end: float) -> Counter:
    """Nanoseconds from `start` to `end` by label; they add up to all of it.

    Operations at the same time share it equally. A collective counts only where nothing computes
    meanwhile, a loop only where nothing inside it runs, and the host only where the device is idle:
    what is hidden behind something else costs no time. Of the host, waiting for data goes first.
    OTHER is what is left.
    """
    events = sorted((time, opens, kind, label) for kind, label, first, last in _clipped(
        ops, spans, start, end) for time, opens in ((first, 1), (last, -1)))
    active = {kind: Counter() for kind in ("compute", "collective", "loop", "host")}
    found, now = Counter(), start
    for time, group in itertools.groupby(events, key=lambda event: event[0]):
        _share(found, active, time - now)
        now = time
        for _, opens, kind, label in group:
            active[kind][label] += opens
    _share(found, active, end - now)
    return found


def communicating(ops: Iterable[Op], start: float, end: float) -> float:
    """Nanoseconds with a collective under way, whether something computed meanwhile or not."""
    only = [op._replace(kind="compute") for op in ops if op.kind == "collective"]
    return end - start - attribute(only, (), start, end)[OTHER]


def _clipped(ops, spans, start, end):
    for thing in (*ops, *spans):
        first, last = max(thing.start, start), min(thing.end, end)
        if first < last:
            yield getattr(thing, "kind", "host"), thing.label, first, last


def _share(found: Counter, active: dict, duration: float) -> None:
    if not duration:
        return
    for kind in ("compute", "collective", "loop"):
        busy = {label: n for label, n in active[kind].items() if n > 0}
        for label, n in busy.items():
            found[label] += duration * n / sum(busy.values())
        if busy:
            return
    host = active["host"]
    found[DATA if host[DATA] > 0 else HOST if host[HOST] > 0 else OTHER] += duration
