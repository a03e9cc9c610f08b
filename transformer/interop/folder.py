"""A Hugging Face directory: which of its files are read, and that none lies elsewhere.

Weights are `model.safetensors`, whole or in the shards of an index, or `flax_model.msgpack`.
Pickles are programs and are never opened.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.interop.safetensors import DTYPES, File

CONFIG, GENERATION = "config.json", "generation_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLAX = "flax_model.msgpack"
KEPT = "hugging_face"  # in a step directory: what the original had besides weights
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class Folder:
    """A directory that is only read. `inside` decides which files count as in it."""

    def __init__(self, path: Path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{path}: there is no such directory; give the folder of a Hugging "
                            f"Face model, with its {CONFIG}")
        real = self.path.resolve()
        # in the hub's cache a snapshot's files are links into the `blobs` of the same model
        self._root = real.parent.parent if real.parent.name == "snapshots" else real

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / name).is_file()

    def inside(self, name: str) -> Path:
        """The path of a file. UserError if the name leads out of the directory, or to nothing."""
        path = self.path / name
        parts = Path(name).parts
        if not name.isprintable() or ".." in parts or Path(name).is_absolute() or "\\" in name:
            raise UserError(f"{self.path}: {name!r} leads out of the directory")
        if not path.is_file():
            raise UserError(f"{self.path}: there is no file {name}")
        if not path.resolve().is_relative_to(self._root):
            raise UserError(f"{path} is a link that leads out of the directory; copy the file "
                            "instead")
        return path

    def object(self, name: str) -> dict:
        """The JSON object in a file. UserError where there is none."""
        path = self.inside(name)
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise UserError(f"{path} must hold a JSON object")
        return value

    def tensors(self):
        """The tensors of the weights; see `Tensors`.

        Raises:
          UserError: there are no weights, or only a pickle, or they are not what they say.
        """
        if self.has(WEIGHTS):
            return Tensors(self.path, {WEIGHTS: File(self.inside(WEIGHTS))})
        if self.has(INDEX):
            return Tensors(self.path, self._shards())
        if self.has(FLAX):
            from transformer.interop.msgpack import FlaxTensors

            return FlaxTensors(self.inside(FLAX))
        pickles = sorted(path.name for kind in PICKLES for path in self.path.glob(kind))
        if pickles:
            raise UserError(f"{self.path}: {pickles[0]} is a pickle, a program that runs when it "
                            f"is opened, so it is not; convert it to {WEIGHTS} where you trust it")
        raise UserError(f"{self.path}: no weights here ({WEIGHTS}, {INDEX} or {FLAX})")

    def _shards(self) -> dict[str, File]:
        """{name of the shard: File} of an index whose entries agree with what the shards hold."""
        index = self.object(INDEX).get("weight_map")
        if not isinstance(index, dict) or not all(isinstance(v, str) for v in index.values()):
            raise UserError(f"{self.path / INDEX}: no weight_map from names to files")
        files = {name: File(self.inside(name)) for name in sorted(set(index.values()))}
        there = {name: shard for shard, file in files.items() for name in file.entries}
        if wrong := sorted(n for n in {*index, *there} if index.get(n) != there.get(n)):
            raise UserError(f"{self.path / INDEX} and its shards disagree about {wrong[0]}")
        if len(there) < sum(len(file.entries) for file in files.values()):
            raise UserError(f"{self.path / INDEX}: a tensor is in two shards")
        return files


class Tensors:
    """The tensors of some files by name. `names`: all of them; `where`: for messages."""

    def __init__(self, where: Path, files: dict[str, File]):
        self.where = where
        self._files = {name: file for file in files.values() for name in file.entries}
        self.names = frozenset(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Without reading the tensor."""
        return self._files[name].entries[name].shape

    def dtype(self, name: str) -> np.dtype | None:
        """None for a type that no parameter has."""
        return DTYPES.get(self._files[name].entries[name].dtype)

    def read(self, name: str) -> np.ndarray:
        """A new array."""
        return self._files[name].read(name)
