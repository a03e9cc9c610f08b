"""How many bytes a compiled program moves between a device and its HBM.

What the compiler itself tells counts the body of a loop once. Here every instruction outside
fusions reads its operands and writes its results, as often as it runs; a fusion that takes a slice
of an operand, or writes one into it, moves the slice. Arrays that lie on the die move nothing.
"""

from __future__ import annotations

from transformer.scaling.hlo import Array, Instruction, Program, parse, visits
from transformer.scaling.memory import Memory
from transformer.scaling.program import Step

# They name, arrange or call, and move nothing themselves.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "while",
         "conditional", "call", "async-start", "async-update", "async-done", "partition-id",
         "replica-id", "opt-barrier", "add-dependency", "iota"}
_SLICES = {"dynamic-slice", "gather", "slice"}


def moved(text: str) -> float:
    """Bytes read and written by one device in one call of a program, `compiled.as_text()`."""
    program = parse(text)
    inside = {i.parts()["calls"] for computation in program.computations.values()
              for i in computation.values() if i.op == "fusion" and "calls" in i.parts()}
    return sum(visit.times * _moved(program, visit.instruction, visit.path[-1])
               for visit in visits(program) if not inside & set(visit.path))


def _moved(program: Program, instruction: Instruction, where: str) -> float:
    op, here = instruction.op, program.computations[where]
    if op in _FREE or op.endswith("-done"):
        return 0.0
    operands = [here[name] for name in instruction.operands if name in here]
    if op == "fusion":
        body = program.computations.get(instruction.parts()["calls"], {})
        read = sum(_read(program, body, n, o.arrays) for n, o in enumerate(operands))
        return read + _written(body, instruction)
    if op.endswith("-start") and len(instruction.arrays) > 1:  # (result, operand, ...)
        return sum(_hbm(array) for array in instruction.arrays[:2])
    written = sum(map(_hbm, instruction.arrays))
    if op in _SLICES:
        return 2 * written
    if op in ("dynamic-update-slice", "scatter"):
        update = operands[-1 if op == "scatter" else 1]
        return 2 * sum(map(_hbm, update.arrays))
    return written + sum(_hbm(array) for operand in operands for array in operand.arrays)


def _hbm(array: Array) -> float:
    return 0.0 if array.fast else array.bytes


def _read(program: Program, body: dict[str, Instruction], n: int, arrays) -> float:
    """Bytes that a fusion, which may hold others, reads of its operand number n."""
    whole = sum(map(_hbm, arrays))
    names = [i.name for i in body.values() if i.op == "parameter" and i.operands == (str(n),)]
    if not names or not whole:
        return whole
    return min(whole, sum(_taken(program, use, name, whole)
                          for use, name in _users(body, names[0])))


def _taken(program: Program, use: Instruction, name: str, whole: float) -> float:
    """Bytes that one instruction of a fusion needs of an array."""
    if use.op in _SLICES and use.operands[0] == name:
        return sum(array.bytes for array in use.arrays)
    if use.op == "dynamic-update-slice" and use.operands[0] == name:
        return 0.0  # it is written into
    if use.op == "fusion":
        body = program.computations.get(use.parts()["calls"], {})
        n = use.operands.index(name)
        given = [i for i in body.values() if i.op == "parameter" and i.operands == (str(n),)]
        return _read(program, body, n, given[0].arrays) if given else whole
    return whole


def _users(body: dict[str, Instruction], name: str) -> list[tuple[Instruction, str]]:
    """(instruction, the name by which it takes the array), looking through changes of shape."""
    found = []
    for instruction in body.values():
        if name in instruction.operands:
            seen = instruction.op == "bitcast" and not instruction.root
            found += _users(body, instruction.name) if seen else [(instruction, name)]
    return found


def _written(body: dict[str, Instruction], fusion: Instruction) -> float:
    """Bytes that a fusion writes: of a result that is an update of an operand, the update's."""
    root = next((i for i in body.values() if i.root), None)
    if root is None:
        return sum(map(_hbm, fusion.arrays))
    parts = [body.get(name) for name in root.operands] if root.op == "tuple" else [root]
    if len(parts) != len(fusion.arrays):
        return sum(map(_hbm, fusion.arrays))
    return sum(_result(body, part, array) for part, array in zip(parts, fusion.arrays))


def _result(body, part: Instruction | None, array: Array) -> float:
    while part is not None and part.op == "bitcast":
        part = body.get(part.operands[0])
    if part is not None and part.op == "dynamic-update-slice" and part.operands[1] in body:
        return min(_hbm(array), sum(a.bytes for a in body[part.operands[1]].arrays))
    return _hbm(array)


def least(step: Step, memory: Memory) -> float:
    """Bytes that any program of this step moves: a floor, where no program for the device is at
    hand. The state is read and written, gradients are written and read, slice after slice weights
    are read once for each pass, and what the backward pass keeps is written and read.
    """
    slices = step.experiment.accumulate
    width = 2 if step.run.dtype == "bfloat16" else 4
    passes = 3 if step.run.remat == "full" else 2
    weights = step.model.count() * width / step.mesh.shape["tensor"] * passes
    added = 2 * memory.gradients * (slices if slices > 1 else 0)  # the sum over slices
    return (2 * (memory.parameters + memory.optimizer + memory.gradients) + added
            + slices * (weights + 2 * memory.activations))
