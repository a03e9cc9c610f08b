"""config.json as a family reads it: typed, with defaults for what the hub's files leave out."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from transformer.error import UserError
from transformer.ops.activation import Activation

# What Hugging Face calls the activations.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "relu": "relu", "silu": "silu", "swish": "silu", "tanh": "tanh",
}
NAMES: dict[str, str] = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu",
                         "tanh": "tanh"}

DEEPEST = 10_000  # layers
LARGEST = 2**30  # so that sizes and ids are numbers of 32 bits, also with a few added


@dataclasses.dataclass(frozen=True)
class Config:
    """The entries of a config.json. Every method raises UserError for a value it cannot mean.

    where: for messages. architecture: the class. tied: whether the output shares the token table,
    as the weights show. names: of the tensors, as the table has them.
    """

    tree: dict[str, Any]
    where: str = "config.json"
    architecture: str = ""
    tied: bool = True
    names: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return self.tree.get(name) is not None

    def raw(self, name: str, default=None):
        """The value as it stands; `default` where it is null or not there."""
        value = self.tree.get(name)
        return default if value is None else value

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number above 0. Without a default it must be there."""
        return self.typed(name, default, f"a whole number above 0, at most {LARGEST:,}",
                          lambda v: type(v) is int and 0 < v <= LARGEST)

    def natural(self, name: str, default: int | None = None) -> int:
        """A whole number that may be 0."""
        return self.typed(name, default, f"a whole number from 0 to {LARGEST:,}",
                          lambda v: type(v) is int and 0 <= v <= LARGEST)

    def depth(self, name: str, default: int) -> int:
        """How many layers: a bound, because names and layers are listed before weights are read."""
        return self.typed(name, default, f"a whole number from 1 to {DEEPEST:,}",
                          lambda v: type(v) is int and 0 < v <= DEEPEST)

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        good = lambda v: type(v) in (int, float) and abs(v) <= sys.float_info.max
        return float(self.typed(name, default, "a number", good))

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return self.typed(name, default, "true or false", lambda v: type(v) is bool)

    def id(self, name: str) -> int | None:
        """A token id, or None."""
        value = self.raw(name)
        return value if type(value) is int and value >= 0 else None

    def ids(self, name: str, most: int | None = None) -> tuple[int, ...]:
        """Token ids, from one or a list of them; a negative one stands for none.

        most: how many may be there, any number if None.
        """
        value = self.raw(name, ())
        found = value if isinstance(value, (list, tuple)) else (value,)
        good = all(type(n) is int and n <= LARGEST for n in found)
        if not good or (most is not None and len(found) > most):
            raise self._wrong(name, value, "a token id" + " or a list of them" * (most is None))
        return tuple(n for n in found if n >= 0)

    def text(self, name: str, default: str) -> str:
        """A word."""
        return self.typed(name, default, "a text", lambda v: isinstance(v, str))

    def one_of(self, name: str, known: dict, default: str):
        """What one of the known words stands for."""
        value = self.raw(name, default)
        if not isinstance(value, str) or value not in known:
            raise self._wrong(name, value, f"one of {', '.join(known)}")
        return known[value]

    def activation(self, name: str, default: str) -> Activation:
        """Our name of an activation."""
        return self.one_of(name, ACTIVATIONS, default)

    def rate(self, name: str, default: float) -> float:
        """A dropout rate."""
        return float(self.typed(name, default, "a rate, at least 0 and below 1",
                                lambda v: type(v) in (int, float) and 0 <= v < 1))

    def refuse(self, name: str, only, default=None) -> None:
        """UserError unless the entry has the one value that the family is built for here."""
        value = self.raw(name, only if default is None else default)
        if value != only:
            raise self._wrong(name, value, f"{only!r}: nothing else is supported here")

    def labels(self) -> int:
        """How many classes: id2label has them, two where it is left out."""
        names = self.raw("id2label")
        if isinstance(names, dict) and names:
            return len(names)
        return self.count("num_labels", 2)

    def with_labels(self, count: int) -> Config:
        """Where a family counts another number of classes if nothing is said."""
        return dataclasses.replace(self, tree={**self.tree, "num_labels": count})

    def typed(self, name: str, default, words: str, good: Callable[[Any], bool]):
        """A value that is good; `words` say what is."""
        value = self.raw(name, default)
        if value is None:
            raise UserError(f"{self.where}: lacks {name}")
        if not good(value):
            raise self._wrong(name, value, words)
        return value

    def _wrong(self, name, value, words) -> UserError:
        return UserError(f"{self.where}: {name} is {value!r}, but it must be {words}")
