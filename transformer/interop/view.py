"""The tensors of a file under the names of the family's table: prefixes, old spellings, ties."""

from __future__ import annotations

import re

import numpy as np

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.family import Family


class View:
    """Like `folder.Tensors`, its names those of the table. `notes`: what was passed over.

    ties: whether config.json lets the output be the token table.

    Raises:
      UserError: two tensors mean the same, or tied ones differ.
    """

    def __init__(self, tensors, family: Family, config: Config, ties: bool):
        self._tensors, self.where, self.notes = tensors, tensors.where, []
        self._family, self._config = family, config
        self._there: dict[str, str] = {}
        spelled = self._speller()
        for name in sorted(tensors.names):
            if not any(re.search(pattern, name) for pattern in family.unread):
                self._add(spelled(name), name)
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

    def leave(self, names: set[str]) -> None:
        """Passes over tensors that no row reads but another class of the family would."""
        others = self.names - names
        if others:
            left = sorted(others & (self._family.names(self._config) | {*self._family.tied}))
            for name in left:
                del self._there[name]
            if left:
                self.notes.append(f"{self._config.architecture} does not read {', '.join(left)}")

    def _speller(self):
        """name in the file -> name in the table."""
        family, names = self._family, self._tensors.names
        prefix, own = family.prefix, family.prefix_of(self._config.architecture)
        begins = lambda start: bool(start) and any(name.startswith(start) for name in names)
        has = next((start for start in (prefix, own) if begins(start)), "")
        heads = set()
        if prefix and not has:  # the bare trunk; what belongs to a head has no prefix anywhere
            heads = {*family.names(self._config), *family.tied}
            heads = {name for name in heads if not name.startswith(prefix)}

        def spelled(name: str) -> str:
            for pattern, replacement in family.renamed:
                name = re.sub(pattern, replacement, name)
            moves = name.startswith(has) and name not in heads
            return prefix + name.removeprefix(has) if moves else name

        return spelled

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
        elif self._equal(alias, name):
            del self._there[alias]
        elif not own:
            raise UserError(f"{self.where}: {alias} and {name} differ, but here they are one")

    def _equal(self, a: str, b: str) -> bool:
        """Bit for bit. What is not of one shape and type is not read."""
        about = [(self.shape(name), self.dtype(name)) for name in (a, b)]
        bits = lambda name: self.read(name).reshape(-1).view(np.uint8)
        return about[0] == about[1] and np.array_equal(bits(a), bits(b))
