"""The tensors of a file under the names of the family's table: prefixes, old spellings, ties."""

from __future__ import annotations

import re

import numpy as np

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.family import Family


class View:
    """Like `folder.Tensors`, its names those of the table. `notes`: what was passed over.

    Raises:
      UserError: two tensors mean the same, or tied ones differ.
    """

    def __init__(self, tensors, family: Family, architecture: str, ties: bool):
        self._tensors, self.where, self.notes = tensors, tensors.where, []
        self._family, self._architecture = family, architecture
        self._there, self._prefixes = {}, self._moved()
        for name in sorted(tensors.names):
            if not any(re.search(pattern, name) for pattern in family.unread):
                self._add(self._spelled(name), name)
        for alias, name in family.tied.items():
            if alias in self._there:
                self._merge(alias, name, ties)

    @property
    def names(self) -> frozenset[str]:
        """The names of the table that the file has a tensor for."""
        return frozenset(self._there)

    @property
    def tied(self) -> bool:
        """Whether the output has no matrix of its own."""
        return self._family.output not in self._there

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without reading it."""
        return self._tensors.shape(self._there[name])

    def dtype(self, name: str):
        """Of a tensor, without reading it."""
        return self._tensors.dtype(self._there[name])

    def read(self, name: str) -> np.ndarray:
        """A new array."""
        return self._tensors.read(self._there[name])

    def leave(self, config: Config, names: set[str]) -> None:
        """Passes over tensors that no row reads but another class of the family would."""
        others = self.names - names
        if others:
            left = sorted(others & (self._family.names(config) | {*self._family.tied}))
            for name in left:
                del self._there[name]
            if left:
                self.notes.append(f"{self._architecture} does not read {', '.join(left)}")

    def _spelled(self, name: str) -> str:
        for pattern, replacement in self._family.renamed:
            name = re.sub(pattern, replacement, name)
        there, here = self._prefixes
        if name in self._family.tied or not name.startswith(there):
            return name
        return here + name.removeprefix(there)

    def _moved(self) -> tuple[str, str]:
        """The prefix that the file has, and the one that the table has for it."""
        prefix, names = self._family.prefix, self._tensors.names
        own = self._family.prefixes.get(self._architecture, prefix)
        for there in (prefix, own):
            if any(name.startswith(there) for name in names):
                return there, prefix
        return "", prefix

    def _add(self, name: str, there: str) -> None:
        if name in self._there:
            raise UserError(f"{self.where}: {self._there[name]} and {there} are the same tensor")
        self._there[name] = there

    def _merge(self, alias: str, name: str, ties: bool) -> None:
        """Drops one of two equal tensors; a file may also have kept either of them alone."""
        own = alias == self._family.output
        if own and not ties:
            return
        if name not in self._there:
            self._there[name] = self._there.pop(alias)
        elif _equal(self.read(alias), self.read(name)):
            del self._there[alias]
        elif not own:
            raise UserError(f"{self.where}: {alias} and {name} differ, but here they are one")


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    bits = [array.reshape(-1).view(np.uint8) for array in (a, b)]
    return (a.shape, a.dtype) == (b.shape, b.dtype) and np.array_equal(*bits)
