"""A family of Hugging Face's models as a value, and which families there are."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable

from transformer.error import UserError
from transformer.interop import families
from transformer.interop.config import Config
from transformer.interop.table import Row
from transformer.spec import Spec


class Unsupported(UserError):
    """Nothing here corresponds to it; the line lists what does."""

    status = 3


class Unlike(Exception):
    """A spec is not of the form that a family's `config` reads; says how it differs."""


@dataclasses.dataclass(frozen=True)
class Family:
    """What one `model_type` of Hugging Face is in this project.

    architectures: their classes -> the names of our heads, in order; the first is what a file
      without `architectures` is taken for.
    spec: (config, names of heads) -> our architecture.
    config: our architecture -> the entries of config.json that say the same. May raise Unlike.
    rows: our architecture -> the name table, with `prefix` on every name of the trunk.
    prefix: of the trunk in models that have a head; the bare model has none. prefixes: of classes
      that have another. saved: {class: {name in the table: name that its files have instead}}.
    tied: a name that a file may hold -> the name of the tensor that it equals; where the first of
      them differs and `output` names it, the model has a matrix of its own there.
    output: the name of the output matrix, or "" where it is always the token table. ties: whether
      that is the token table where config.json does not say; forced: whatever it says.
    unread: regular expressions of names that are no parameters. renamed: (pattern, replacement)
      of names that older files have.
    positions: (token ids [B,T], config) -> positions, where they depend on the ids.
    pooled: (inputs, config) -> the places [B] at which rows are read, where not the first token of
      an encoder or the last of a decoder.
    """

    model_type: str
    architectures: dict[str, tuple[str, ...]]
    spec: Callable[[Config, tuple[str, ...]], Spec]
    config: Callable[[Spec], dict]
    rows: Callable[[Spec], list[Row]]
    prefix: str = ""
    prefixes: dict[str, str] = dataclasses.field(default_factory=dict)
    saved: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    tied: dict[str, str] = dataclasses.field(default_factory=dict)
    output: str = ""
    ties: bool = True
    forced: bool = False
    unread: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    positions: Callable | None = None
    pooled: Callable | None = None

    def prefix_of(self, architecture: str) -> str:
        """What stands before the trunk's names in the files of one of their classes."""
        bare = "" if not self.architectures[architecture] else self.prefix
        return self.prefixes.get(architecture, bare)

    def written(self, architecture: str, name: str) -> str:
        """The name that a tensor of the table has in the files of one of their classes."""
        name = self.saved.get(architecture, {}).get(name, name)
        if self.prefix and name.startswith(self.prefix):
            return self.prefix_of(architecture) + name.removeprefix(self.prefix)
        return name

    def names(self, config: Config) -> set[str]:
        """Every name that some class of the family has, given the sizes in a config.json."""
        found: set[str] = set()
        for architecture, heads in self.architectures.items():
            with contextlib.suppress(UserError):  # what that class would need is of no interest
                spec = self.spec(dataclasses.replace(config, architecture=architecture), heads)
                found.update(name for each in self.rows(spec) for name in each.names())
        return found

    def heads(self, architecture: str) -> tuple[str, ...]:
        """The heads of one of their classes. Unsupported lists those that there are."""
        if architecture not in self.architectures:
            raise Unsupported(f"{architecture} is no supported architecture of {self.model_type}; "
                              f"supported: {', '.join(self.architectures)}")
        return self.architectures[architecture]


@functools.cache
def known() -> dict[str, Family]:
    """{model_type: Family} of every file in `families`."""
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    found = [importlib.import_module(f".families.{name}", __package__).FAMILY for name in names]
    return {family.model_type: family for family in found}


def of_type(model_type) -> Family:
    """The family of a config.json. Unsupported lists those that there are."""
    if not isinstance(model_type, str) or model_type not in known():
        raise Unsupported(f"model_type {model_type!r} is not supported; supported: "
                          f"{', '.join(known())}")
    return known()[model_type]
