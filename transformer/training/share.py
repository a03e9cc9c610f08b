"""Which rows of a global batch a process makes, and which of them count as its own.

A batch lies on the mesh as [A, B/A, ...]: every device holds some of the B/A rows of each of the A
slices. A process makes the rows that its devices hold. Where several processes hold a row (the
axes `tensor` and `sequence` may span them) it is the first one's own, so that what is counted over
all processes counts each row once.
"""

from __future__ import annotations

import dataclasses
import hashlib

import jax
import numpy as np

from transformer.ops.placement import batch_shardings


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of one process in every batch of `batch` examples.

    rows: the examples that its devices hold, ascending. own: those of them that are its own.
    everywhere: own of all processes one after the other.
    """

    slices: int
    batch: int
    rows: tuple[int, ...]
    own: tuple[int, ...]
    everywhere: tuple[int, ...]

    def owned(self, made: dict) -> dict:
        """What is the process's own of the arrays of `rows`."""
        if self.own == self.rows:
            return made
        kept = np.searchsorted(self.rows, self.own)
        return {name: _grouped(array, len(self.rows))[kept].reshape(-1, *array.shape[1:])
                for name, array in made.items()}

    def hash(self, digests: list[list[str]]) -> str:
        """The hash of the batch from the digests of what each process owns: `stream.batch_hash`."""
        flat = [bytes.fromhex(digest) for part in digests for digest in part]
        ordered = [flat[n] for n in np.argsort(self.everywhere)]
        return hashlib.sha256(b"".join(ordered)).hexdigest()

    def place(self, mesh, made: dict) -> dict:
        """The global batch on the devices, [A, B/A, ...], from the arrays of `rows`."""
        shapes = {name: jax.ShapeDtypeStruct(self._shape(array), array.dtype)
                  for name, array in made.items()}
        shardings = batch_shardings(shapes, mesh, lead=1)
        return {name: jax.make_array_from_callback(
            shapes[name].shape, shardings[name], self._reader(array, shapes[name].shape))
            for name, array in made.items()}

    def _shape(self, array) -> tuple[int, ...]:
        each = len(array) // len(self.rows)  # rows of one example: its choices
        return (self.slices, self.batch * each // self.slices, *array.shape[1:])

    def _reader(self, array, shape):
        """Any part of the global array that devices of this process hold."""
        each = len(array) // len(self.rows)
        held = (np.asarray(self.rows)[:, None] * each + np.arange(each)).ravel()
        numbers = np.arange(shape[0] * shape[1]).reshape(shape[:2])  # of global rows

        def read(index):
            wanted = numbers[index[:2]]
            return array[np.searchsorted(held, wanted)][(..., *index[2:])]

        return read


def share(batch: int, slices: int, mesh, process: int) -> Share:
    """The share of a process in batches of `batch` examples in `slices` slices.

    Raises:
      UserError: the rows of a slice do not divide by the devices that share them.
    """
    shape = (slices, batch // slices)
    sharding = batch_shardings(jax.ShapeDtypeStruct(shape, np.int32), mesh, lead=1)
    numbers = np.arange(batch).reshape(shape)
    held: dict[int, set[int]] = {}
    for device, index in sharding.devices_indices_map(shape).items():
        held.setdefault(device.process_index, set()).update(numbers[index].ravel().tolist())
    taken: set[int] = set()
    own = {}
    for owner in sorted(held):
        own[owner] = tuple(sorted(held[owner] - taken))
        taken |= held[owner]
    return Share(slices, batch, tuple(sorted(held[process])), own[process],
                 tuple(row for owner in sorted(own) for row in own[owner]))


def _grouped(array, examples: int):
    return array.reshape(examples, len(array) // examples, *array.shape[1:])
