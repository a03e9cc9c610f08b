"""The two-way name table: which of our parameters is which of their tensors, and in what layout."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from transformer.error import UserError
from transformer.interop.safetensors import ALIGNED, empty
from transformer.nn.stack import Stack

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Same:
    """The same array. The base of the layouts; each has one of theirs for one or several of ours,
    which are then fused along the dimension of their outputs."""

    def theirs(self, shapes: list[Shape]) -> Shape:
        """The shape of theirs, from the shapes of ours."""
        return shapes[0]

    def load(self, tensor: np.ndarray, shapes: list[Shape]) -> list[np.ndarray]:
        """Theirs as ours, views where possible."""
        return [tensor]

    def save(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Ours as theirs. The exact inverse of `load`."""
        return arrays[0]


class Flat(Same):
    """Ours in one dimension: the bias of heads, [H, K], is [H K] there."""

    def theirs(self, shapes):
        return (sum(map(math.prod, shapes)),)

    def load(self, tensor, shapes):
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(tensor, ends), shapes)]

    def save(self, arrays):
        return np.concatenate([array.reshape(-1) for array in arrays])


@dataclasses.dataclass(frozen=True)
class Conv1D(Same):
    """[in, out] there. ins: how many of our leading dimensions are inputs."""

    ins: int = 1

    def theirs(self, shapes):
        return (math.prod(shapes[0][:self.ins]), sum(math.prod(s[self.ins:]) for s in shapes))

    def load(self, tensor, shapes):
        ends = np.cumsum([math.prod(shape[self.ins:]) for shape in shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(tensor, ends, 1), shapes)]

    def save(self, arrays):
        rows = math.prod(arrays[0].shape[:self.ins])
        return np.concatenate([array.reshape(rows, -1) for array in arrays], 1)


class Linear(Conv1D):
    """[out, in] there, as PyTorch has it."""

    def theirs(self, shapes):
        return super().theirs(shapes)[::-1]

    def load(self, tensor, shapes):
        return super().load(tensor.T, shapes)

    def save(self, arrays):
        return super().save(arrays).T


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    ours: paths of our parameters. theirs: their name, or with {l} the names of one tensor for each
    layer. form: how they are laid out there. layers: their numbers of the layers that are stacked
    in ours; None where ours are not stacked.
    """

    ours: tuple[str, ...]
    theirs: str
    form: Same = Same()
    layers: range | None = None

    def names(self) -> Iterator[str]:
        """Their name, or one for each layer."""
        if self.layers is None:
            yield self.theirs
        else:
            yield from (self.theirs.format(l=number) for number in self.layers)

    def shapes(self, ours: dict) -> list[Shape]:
        """The shapes of one layer of ours. `ours`: {path: anything that has a shape}."""
        cut = 0 if self.layers is None else 1
        return [tuple(ours[path].shape[cut:]) for path in self.ours]


def row(ours: str | tuple[str, ...], theirs: str, form: Same = Same()) -> Row:
    """A row outside the layers."""
    return Row((ours,) if isinstance(ours, str) else tuple(ours), theirs, form)


def dense(ours: str | tuple[str, ...], theirs: str, form: Same = Linear(), bias=True) -> list[Row]:
    """The rows of a linear map: `theirs`.weight and `theirs`.bias."""
    ours = (ours,) if isinstance(ours, str) else tuple(ours)
    biases = tuple(f"{path}_bias" for path in ours)
    return [Row(ours, f"{theirs}.weight", form)] + [Row(biases, f"{theirs}.bias", Flat())] * bias


def norm(ours: str, theirs: str, bias=True) -> list[Row]:
    """The rows of a norm."""
    rows = [row(f"{ours}/scale", f"{theirs}.weight"), row(f"{ours}/shift", f"{theirs}.bias")]
    return rows if bias else rows[:1]


def layers(path: str, stack: Stack, block) -> list[Row]:
    """The rows of all layers of the stack at `path`.

    block: the rows of one block, whose paths begin with the name of a sublayer and whose names hold
    {l}; or a function from the block's number in the whole stack and its spec to such rows. Layers
    count through all segments, as theirs do.
    """
    made, start = [], 0
    for s, segment in enumerate(stack.segments):
        period = len(segment.pattern)
        for n, spec in enumerate(segment.pattern):
            numbers = range(start + n, start + n + period * segment.repeats, period)
            for each in block(start + n, spec) if callable(block) else block:
                ours = tuple(f"{path}/segment_{s}/{n}_{name}" for name in each.ours)
                made.append(Row(ours, each.theirs, each.form, numbers))
        start += period * segment.repeats
    return made


def parameters(rows: list[Row], shapes: dict, tensors) -> dict[str, np.ndarray]:
    """{path: array} of every parameter, read one tensor at a time, in the types of the file.

    Args:
      shapes: {path: leaf} of our model. tensors: `names`, `shape(name)`, `dtype(name)`,
        `read(name)`.

    Raises:
      UserError: a tensor is missing or has another shape, or the two sides are not used up.
    """
    _require_all(rows, shapes, tensors)
    made: dict[str, np.ndarray] = {}
    # the largest first: what is read and not yet laid out counts while little else is there
    for each in sorted(rows, key=lambda r: -math.prod(r.form.theirs(r.shapes(shapes)))):
        parts = each.shapes(shapes)
        if each.layers is None:
            found = each.form.load(tensors.read(each.theirs), parts)
            made.update((path, settled(array)) for path, array in zip(each.ours, found))
            continue
        dtype = np.result_type(*{tensors.dtype(name) for name in each.names()})
        made.update((path, empty(shapes[path].shape, dtype)) for path in each.ours)
        for n, name in enumerate(each.names()):
            for path, array in zip(each.ours, each.form.load(tensors.read(name), parts)):
                made[path][n] = array
    return made


def settled(array: np.ndarray) -> np.ndarray:
    """The array, copied unless it lies in one piece and as `safetensors.empty` makes them."""
    if array.flags.c_contiguous and array.size and array.ctypes.data % ALIGNED == 0:
        return array
    made = empty(array.shape, array.dtype)
    made[...] = array
    return made


def require_names(rows: list[Row], tensors) -> None:
    """UserError for the first name of a table that there is no tensor for."""
    for each in rows:
        for name in each.names():
            if name not in tensors.names:
                raise UserError(f"{tensors.where}: lacks {name}, which its config.json asks for")


def _require_all(rows: list[Row], shapes: dict, tensors) -> None:
    require_names(rows, tensors)
    ours = [path for each in rows for path in each.ours]
    if sorted(ours) != sorted(shapes):
        raise ValueError(f"the table and the model differ: {sorted(set(ours) ^ set(shapes))}")
    for each in rows:
        expected = each.form.theirs(each.shapes(shapes))
        for name in each.names():
            if tensors.shape(name) != expected:
                raise UserError(f"{tensors.where}: {name} is {list(tensors.shape(name))}, but "
                                f"its config.json makes it {list(expected)}")
    left = sorted(set(tensors.names) - {name for each in rows for name in each.names()})
    if left:
        raise UserError(f"{tensors.where}: nothing here reads {_listed(left)}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def described(rows: list[Row], ours: dict[str, np.ndarray]) -> dict:
    """{their name: (dtype, shape)} of what `tensor` will give."""
    return {name: (ours[each.ours[0]].dtype, each.form.theirs(each.shapes(ours)))
            for each in rows for name in each.names()}


def tensor(each: Row, ours: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Theirs of the n-th layer (or the only one) of a row."""
    cut = (lambda array: array) if each.layers is None else (lambda array: array[n])
    return each.form.save([cut(ours[path]) for path in each.ours])
