"""What a compiled program sends between chips: kinds, bytes, how often, over which mesh axes."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np

from transformer.scaling.hlo import Array, Visit, parse, visits

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all",
         "collective-permute", "collective-broadcast")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of the program of one chip.

    kind: of KINDS. axes: the mesh axes along which its groups reach, "data+fsdp"; "" if its ids are
      not those of the mesh.
    arrays: what it makes; of a reduce-scatter what it is made of.
    bytes: of these: the whole of what is gathered, reduced or exchanged.
    groups: of chips, by place in the mesh. ways: chips in the largest.
    times: how often it runs in a step; known: False where that could not be read, and is 1.
    source: where in the traced program it comes from. name: of the instruction.
    """

    kind: str
    axes: str
    arrays: tuple[Array, ...]
    groups: tuple[tuple[int, ...], ...]
    times: int
    known: bool
    source: str
    name: str

    @property
    def ways(self) -> int:
        return max(map(len, self.groups), default=0)

    @property
    def bytes(self) -> float:
        """Of one run."""
        return sum(array.bytes for array in self.arrays)

    @property
    def sent(self) -> float:
        """Bytes that a chip sends in one run, and receives: those of ring algorithms, the least
        there is where every chip has as much bandwidth as every other."""
        if self.kind in ("collective-permute", "collective-broadcast"):
            return self.bytes
        return self.bytes * (self.ways - 1) / self.ways * (2 if self.kind == "all-reduce" else 1)


def collectives(text: str, mesh: dict[str, int]) -> list[Collective]:
    """Those of a compiled program, in order.

    An asynchronous one is counted where it starts. A TPU's reduce-scatter may be written as an
    all-reduce inside a fusion that keeps a slice of it; it counts as what it is.

    Args:
      text: of `compiled.as_text()`. mesh: {axis: size}, in the order of the mesh that it was
        compiled for: `mesh.shape`.
    """
    found = (_collective(visit, dict(mesh)) for visit in visits(parse(text)))
    return [one for one in found if one is not None and one.ways > 1]


def _collective(visit: Visit, mesh: dict[str, int]) -> Collective | None:
    instruction = visit.instruction
    kind = instruction.op.removesuffix("-start")
    if kind not in KINDS:
        return None
    groups = _groups(instruction.attributes, math.prod(mesh.values()))
    ways = max(map(len, groups), default=0)
    arrays = instruction.arrays
    if instruction.op.endswith("-start") and kind == "all-gather":
        arrays = arrays[len(arrays) // 2:]  # (operands, results)
    if instruction.op.endswith("-start") and kind == "collective-permute":
        arrays = arrays[1:2]  # (operand, result, contexts)
    if kind == "reduce-scatter":
        arrays = tuple(a._replace(dims=(ways, *a.dims)) for a in arrays)
    if kind == "all-reduce" and any(part.startswith("all-reduce-scatter") for part in visit.path):
        kind = "reduce-scatter"
    return Collective(kind, _axes(groups, mesh), arrays, tuple(map(tuple, groups)), visit.times,
                      visit.known, instruction.source, instruction.name)


def _axes(groups: list, mesh: dict[str, int]) -> str:
    """The axes along which the members of a group differ."""
    if not groups or max(map(max, groups)) >= math.prod(mesh.values()):
        return ""
    shape = tuple(mesh.values())
    moved = np.zeros(len(shape), bool)
    for group in groups:
        places = np.stack(np.unravel_index(np.asarray(group), shape), -1)
        moved |= (places != places[0]).any(0)
    return "+".join(axis for axis, differs in zip(mesh, moved) if differs)


def _groups(attributes: str, chips: int) -> list[list[int]]:
    """Chips by their place in the mesh; all of them in one group where none are named."""
    pairs = re.search(r"source_target_pairs=\{([\d,{} ]*)\}", attributes)
    if pairs:
        return _listed(pairs[1])
    text = re.search(r"replica_groups=(.*?)(?:, \w+=(?!\(\[)|$)", attributes)
    if text is None or text[1] == "{}":
        return [list(range(chips))]
    if text[1].startswith("{"):
        return _listed(text[1])
    if text[1].startswith("mesh"):
        return _of_axes(text[1])
    shape, _, order = text[1].partition("<=")
    return _iota(order).reshape(_numbers(shape)).tolist()


def _listed(text: str) -> list[list[int]]:
    """`{0,2},{1,3}`"""
    return [_numbers(group) for group in re.findall(r"\{([\d, ]+)\}", text)]


def _iota(text: str) -> np.ndarray:
    """`[4,2]T(1,0)`: the numbers from 0 in that shape, with its dimensions in that order."""
    shape, _, order = text.partition("T")
    numbers = np.arange(math.prod(_numbers(shape))).reshape(_numbers(shape))
    return numbers.transpose(_numbers(order)) if order else numbers


def _of_axes(text: str) -> list[list[int]]:
    """`mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a','b':(1)2}`: groups along axes of a mesh of
    the compiler's own, or along a part of one, (what lies outside)size."""
    sizes = {axis: int(n) for axis, n in re.findall(r"'(\w+)'=(\d+)", text)}
    order = re.search(r"device_ids=\((.*?\])(T\([\d,]+\))?\)", text)
    chips = _iota(order[1] + (order[2] or "")) if order else np.arange(math.prod(sizes.values()))
    wanted = {axis: (int(outer or 1), int(size or sizes[axis])) for axis, outer, size in
              re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", text[text.rindex("{"):])}
    shape, inside = [], []
    for axis, size in sizes.items():
        outer, along = wanted.get(axis, (size, 1))
        inside.append(len(shape) + 1)
        shape += [outer, along, size // (outer * along)]
    outside = [n for n in range(len(shape)) if n not in inside]
    ways = math.prod(shape[n] for n in inside)
    return chips.reshape(shape).transpose(outside + inside).reshape(-1, ways).tolist()


def _numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]
