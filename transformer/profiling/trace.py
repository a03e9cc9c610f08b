"""Reads a trace that `jax.profiler` wrote: what the first device did, and what the host did."""

from __future__ import annotations

import re
from pathlib import Path

from transformer.error import UserError
from transformer.profiling.attribution import COLLECTIVE, Op, Span
from transformer.profiling.part import UNNAMED
from transformer.profiling.program import Instruction, kind_of

WINDOW, MARK = "profile window", "profile "  # names of our own annotations: MARK + label


def read(directory: Path, program: dict[str, Instruction]):
    """(operations, host spans, (start, end) of the window), of the newest trace in a directory.

    Operations are labelled as by `labelled`.
    """
    from jax.profiler import ProfileData

    files = sorted(directory.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise UserError(f"{directory} holds no trace: the profiler wrote nothing")
    ops, spans, window, ends = [], [], None, {}
    for plane in ProfileData.from_file(str(files[-1])).planes:
        for line in plane.lines:
            for event in line.events:
                stats = dict(event.stats)
                start, end = event.start_ns, event.start_ns + event.duration_ns
                if event.name == WINDOW:
                    window = start, end
                elif event.name.startswith(MARK):
                    spans.append(Span(start, end, event.name.removeprefix(MARK)))
                elif event.name.startswith("end: "):
                    ends[stats.get("_c")] = end
                elif name := operation(plane.name, line.name, event.name, stats):
                    ops.append((start, end, name, stats.get("_p")))
    if window is None:
        raise UserError(f"{files[-1]} does not show the steps: the profiler lost events; trace "
                        "fewer steps")
    found = [labelled(start, max(end, ends.get(number, end)), name, program)
             for start, end, name, number in ops]
    return found, spans, window


def operation(plane: str, line: str, event: str, stats: dict) -> str | None:
    """The instruction that an event of the first device stands for; None for any other event.

    CPUs put operations on the threads of the host and GPUs on streams, both with `hlo_op`; TPUs
    have a line for them, whose events are named by the instruction's text. What a GPU does without
    an instruction (copies between host and device) keeps its own name.
    """
    if "hlo_op" in stats:
        on_first = not plane.startswith("/device:") or plane.endswith(":0")
        first = on_first and int(stats.get("device_ordinal", 0)) == 0
        return str(stats["hlo_op"]) if first else None
    if not re.fullmatch(r"/device:\w+:0", plane):
        return None
    if line == "XLA Ops":
        return event.partition(" = ")[0].lstrip("%")
    return event if line.startswith("Stream") else None


def labelled(start, end, name: str, program: dict[str, Instruction]) -> Op:
    """An operation under COLLECTIVE or (part, backward), which is UNNAMED of other programs."""
    known = program.get(name, Instruction(UNNAMED, False, kind_of(name)))
    if known.kind == "collective":
        return Op(start, end, COLLECTIVE, known.kind)
    return Op(start, end, (known.part, known.backward), known.kind)
