"""`flax_model.msgpack`, the weights of the Flax classes that `transformers` no longer has.

Its names need no table: they are PyTorch's, nested, with the words that Flax has for a weight. A
`kernel` is the transpose of PyTorch's `weight`, of GPT-2's Conv1D as well as of its linear maps.
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
from flax import serialization

from transformer.error import UserError

WORDS = {"kernel": "weight", "embedding": "weight", "scale": "weight"}
DTYPES = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


class FlaxTensors:
    """Like `folder.Tensors`, over one msgpack file, which is read whole.

    Raises:
      UserError: not such a file.
    """

    def __init__(self, path: Path):
        self.where = path
        try:
            tree = serialization.msgpack_restore(path.read_bytes())
            self._arrays = dict(_spelled(tree, ()))
        except Exception as error:  # the reader raises whatever it stumbles over
            raise UserError(f"{path} is no flax_model.msgpack: {error}") from None
        self.names = frozenset(self._arrays)
        self._about = {name: (array.shape, array.dtype) for name, array in self._arrays.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """As PyTorch has it."""
        return self._about[name][0]

    def dtype(self, name: str) -> np.dtype | None:
        """None for a type that no parameter has."""
        dtype = self._about[name][1]
        return dtype if dtype in DTYPES else None

    def read(self, name: str) -> np.ndarray:
        """UserError for a type that no parameter has."""
        if self.dtype(name) is None:
            raise UserError(f"{self.where}: {name} is {self._about[name][1]}, but parameters are "
                            "float32, float16 or bfloat16")
        return self._arrays[name]


def _spelled(tree, path: tuple[str, ...]):
    """(PyTorch's name, array) of every leaf."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            if not isinstance(name, str) or not name.isprintable():
                raise ValueError(f"a tensor is called {name!r}")
            yield from _spelled(inner, (*path, name))
        return
    if not isinstance(tree, np.ndarray):
        raise ValueError(f"{'.'.join(path)} is no array")
    *parents, last = path
    name = ".".join((*parents, WORDS.get(last, last)))
    yield name, tree.T if last == "kernel" and tree.ndim == 2 else tree
