"""Reads the text of a compiled program: its computations, and how often each instruction runs.

The text is what `compiled.as_text()` gives: the program of one device, with the shapes that it
holds. Only what planning needs is read.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = re.compile(r"(ENTRY )?%?([\w.$-]+) \(.*\{$")
_LINE = re.compile(r"\s+(ROOT )?%?([\w.$-]+) = (.*)$")
_ARRAY = re.compile(r"\b(pred|token|[a-z]{1,3}\d+\w*)\[([\d,<=]*)\](\{[^}]*\})?")
_NAME = re.compile(r"%([\w.$-]+)")
_PART = re.compile(r"\b(calls|body|condition|to_apply|(?:true|false)_computation)=%?([\w.$-]+)")
_BITS = re.compile(r"\d+")


class Array(NamedTuple):
    """One array of one device. fast: it lives in memory on the chip's die, not in HBM."""

    dtype: str
    dims: tuple[int, ...]
    fast: bool = False

    @property
    def bytes(self) -> float:
        """Without padding to tiles; four-bit types take half a byte."""
        bits = _BITS.search(self.dtype)
        width = 1.0 if self.dtype == "pred" or bits is None else int(bits[0]) / 8
        return 0.0 if self.dtype == "token" else width * math.prod(self.dims)


class Instruction(NamedTuple):
    """`name = arrays op(operands), attributes`; arrays: the result, tuples flattened."""

    name: str
    arrays: tuple[Array, ...]
    op: str
    operands: tuple[str, ...]
    attributes: str
    root: bool

    def parts(self) -> dict[str, str]:
        """{"calls" | "body" | "condition" | ...: the computation that it names}."""
        return {kind: name for kind, name in _PART.findall(self.attributes)}

    @property
    def source(self) -> str:
        """Where in the traced program it comes from; "" if the compiler made it up."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1] if found else ""


class Program(NamedTuple):
    """Computations by name, each {instruction name: instruction} in order, and which is first."""

    computations: dict[str, dict[str, Instruction]]
    entry: str


class Visit(NamedTuple):
    """An instruction, how often it runs in one call of the program, and in which computation.

    known: False where a loop around it does not tell how often it turns; it then counts once.
    path: the computations that lead to it, the entry first.
    """

    instruction: Instruction
    times: int
    known: bool
    path: tuple[str, ...]


@functools.lru_cache(maxsize=4)
def parse(text: str) -> Program:
    """The program. Lines that are no instruction (tables of files, configurations of kernels that
    run over several lines and may begin with a brace) are left out."""
    computations, entry, here = {}, "", None
    for line in text.splitlines():
        if here is None:
            header = _HEADER.match(line)
            if header:
                here = computations.setdefault(header[2], {})
                entry = header[2] if header[1] else entry
        elif line == "}":
            here = None
        elif (found := _LINE.match(line)) and (made := _instruction(found)):
            here[made.name] = made
    return Program(computations, entry)


def visits(program: Program) -> Iterator[Visit]:
    """Every instruction that is reached from the entry, loops by how often they turn.

    Of a conditional every branch counts. The functions that reductions apply to scalars, and the
    conditions of loops, are left out.
    """
    yield from _within(program, program.entry, 1, True, ())


def _within(program, name, times, known, path) -> Iterator[Visit]:
    path = (*path, name)
    for instruction in program.computations.get(name, {}).values():
        yield Visit(instruction, times, known, path)
        parts = instruction.parts()
        if instruction.op == "while":
            turns = trips(program, instruction)
            yield from _within(program, parts["body"], times * (turns or 1),
                               known and turns is not None, path)
        elif instruction.op == "conditional":
            for branch in _branches(instruction):
                yield from _within(program, branch, times, known, path)
        elif instruction.op == "call":
            yield from _within(program, parts["to_apply"], times, known, path)
        elif "calls" in parts and not instruction.op.endswith(("-update", "-done")):
            yield from _within(program, parts["calls"], times, known, path)


def trips(program: Program, loop: Instruction) -> int | None:
    """How often a while loop turns: what the compiler noted, else the constant that its condition
    compares a counter with, which `lax.scan` starts at zero; None if neither is there."""
    noted = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
    if noted:
        return int(noted[1])
    condition = program.computations.get(loop.parts()["condition"], {})
    found = [_constant(i) for i in condition.values() if i.op == "constant"]
    found = [n for n in found if n is not None]
    return max(found) if found else None


def _constant(instruction: Instruction) -> int | None:
    """The value of an integer constant."""
    whole = instruction.arrays and instruction.arrays[0].dtype[0] in "su"
    value = instruction.operands[0] if instruction.operands else ""
    return int(value) if whole and re.fullmatch(r"-?\d+", value) else None


def _branches(instruction: Instruction) -> list[str]:
    listed = re.search(r"branch_computations=\{([^}]*)\}", instruction.attributes)
    if listed:
        return _NAME.findall(listed[1])
    parts = instruction.parts()
    return [parts[n] for n in ("true_computation", "false_computation") if n in parts]


def _instruction(found) -> Instruction | None:
    """TYPE op(operands), attributes; a tuple's type is in parentheses."""
    root, name, rest = found.groups()
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.find(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    op, bracket, _ = rest.partition("(")
    if not bracket or not re.fullmatch(r"[\w-]+", op):
        return None
    close = _closing(rest, len(op))
    inside, attributes = rest[len(op) + 1:close], rest[close + 1:]
    operands = (inside,) if op in ("constant", "parameter") else tuple(_NAME.findall(inside))
    return Instruction(name, arrays(kind), op, operands, attributes, bool(root))


def arrays(kind: str) -> tuple[Array, ...]:
    """The arrays of a type, `f32[8,128]{1,0}` or a tuple of such, in order."""
    found = []
    for dtype, dims, layout in _ARRAY.findall(kind):
        sizes = tuple(int(n.lstrip("<=")) for n in dims.split(",") if n)
        found.append(Array(dtype, sizes, "S(1)" in layout))
    return tuple(found)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` closes; the end if it does not."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0 and text[at] == ")":
            return at
    return len(text)
