"""The table of a profile: a row for each part of a step, that add up to its time."""

from __future__ import annotations

from collections import Counter

from transformer.profiling.attribution import COLLECTIVE, DATA, HOST, OTHER
from transformer.profiling.floor import Work
from transformer.profiling.part import ORDER


def rows(found: Counter, steps: int, needed: dict[str, Work], rate: float,
         bandwidth: float) -> list[dict]:
    """One dict for each part, in seconds a step: {part, forward, backward, seconds, floor, flops,
    bytes}. What is no work of the model has no floor.

    Args:
      found: nanoseconds as from `attribute`, of operations under (part, backward).
      needed: as from `floor.work`, of one device. rate, bandwidth: of one device.
    """
    forward, backward = Counter(), Counter()
    for label, duration in found.items():
        part, late = label if isinstance(label, tuple) else (label, False)
        (backward if late else forward)[part] += duration / steps / 1e9
    parts = [DATA, HOST, *ORDER, COLLECTIVE, OTHER]
    extra = sorted({*forward, *backward, *needed} - {*parts})
    behind = parts.index(ORDER[4])
    made = []
    for part in (*parts[:behind], *extra, *parts[behind:]):
        work = needed.get(part)
        seconds = forward[part] + backward[part]
        if seconds or work or part in (DATA, HOST, COLLECTIVE, OTHER):
            made.append({"part": part, "forward": forward[part], "backward": backward[part],
                         "seconds": seconds, "floor": work and work.floor(rate, bandwidth),
                         "flops": work and work.flops, "bytes": work and work.bytes})
    return made


def text(table: list[dict]) -> str:
    """The table as people read it, in milliseconds."""
    total = sum(row["seconds"] for row in table)
    lines = [_line("part", "forward ms", "backward ms", "total ms", "share", "floor ms")]
    for row in table:
        lines.append(_line(row["part"], _ms(row["forward"]), _ms(row["backward"]),
                           _ms(row["seconds"]), f"{row['seconds'] / total:.1%}", _ms(row["floor"])))
    floor = sum(row["floor"] or 0 for row in table)
    lines.append(_line("step", "", "", _ms(total), "100.0%", _ms(floor)))
    return "\n".join(lines)


def _ms(seconds: float | None) -> str:
    return f"{1e3 * seconds:,.3f}" if seconds else "-"


def _line(part, *cells) -> str:
    return f"{part:19}" + "".join(f"{cell:>13}" for cell in cells)
