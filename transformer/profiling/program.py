"""What the compiled program says of its instructions: where in the model each comes from."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from transformer.profiling.part import UNNAMED, backward, part_of

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute",
               "collective-broadcast", "ragged-all-to-all")
LOOPS = ("while", "conditional")  # their time is that of the instructions inside
_LINE = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*)$")
_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_OPCODE = re.compile(r"(?:^|\s)([a-z][a-z0-9\-]*)\(")


class Instruction(NamedTuple):
    """part: see `part_of`. kind: "compute", "collective" or "loop"."""

    part: str
    backward: bool
    kind: str


def instructions(text: str) -> dict[str, Instruction]:
    """{name: Instruction} of `compiled.as_text()`.

    A fusion counts for what its root computes. What carries no name of its own, copies and zeros
    above all, goes to the part of most of what it calls, or else to that of the nearest
    instruction that it reads or that reads it.
    """
    lines, bodies, body = {}, {}, []
    for line in text.splitlines():
        if found := _LINE.match(line):
            lines[found[1]] = found[2]
            body.append(found[1])
        elif found := _HEAD.match(line):
            bodies[found[1]] = body = []
    paths = {name: _path(rest) for name, rest in lines.items()}
    near = _neighbours(lines)
    made = {}
    for name, rest in lines.items():
        path = paths[name]
        if part_of(path) == UNNAMED:
            path = _called(rest, bodies, paths) or _nearest(name, near, paths) or path
        made[name] = Instruction(part_of(path), backward(path), _kind(rest))
    return made


def kind_of(name: str) -> str:
    """The kind of an event whose name no instruction has."""
    word = name.lower().replace("_", "-")
    return "collective" if word.startswith(("nccl", *COLLECTIVES)) else "compute"


def _kind(rest: str) -> str:
    opcode = (_OPCODE.search(rest) or [None, ""])[1]
    if opcode.removesuffix("-start").removesuffix("-done") in COLLECTIVES:
        return "collective"
    return "loop" if opcode in LOOPS else "compute"


def _path(rest: str) -> str:
    found = re.search(r'op_name="([^"]*)"', rest)
    return found[1] if found else ""


def _neighbours(lines) -> dict[str, list[str]]:
    """What each instruction reads, and behind that what reads it."""
    reads = {name: [n for n in re.findall(r"%([\w.\-]+)", rest) if n in lines]
             for name, rest in lines.items()}
    readers = {name: [] for name in lines}
    for name, others in reads.items():
        for other in others:
            readers[other].append(name)
    return {name: reads[name] + readers[name] for name in lines}


def _called(rest: str, bodies, paths) -> str:
    """The commonest path in what an instruction calls, '' if there is none."""
    called = re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", rest)
    inside = Counter(paths[n] for n in bodies.get(called[1], ()) if
                     part_of(paths[n]) != UNNAMED) if called else {}
    return inside.most_common(1)[0][0] if inside else ""


def _nearest(name: str, near, paths, most: int = 50) -> str:
    """The path of the nearest of at most so many neighbours that belongs to a part."""
    queue, seen = [name], {name}
    for this in queue:
        if part_of(paths[this]) != UNNAMED:
            return paths[this]
        new = [other for other in near[this] if other not in seen]
        seen.update(new)
        queue += new[:most - len(queue)]
    return ""
