"""A spec is a value: a frozen, keyword-only dataclass that round-trips through JSON by kind.

Architectures, objectives, data, optimizers and whole experiments are specs. They form a tree that
can be printed, compared, stored beside a checkpoint and overridden from the command line by a
dotted path.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from typing import Any

from transformer.error import UserError

_KINDS: dict[str, type[Spec]] = {}


@dataclasses.dataclass(frozen=True)
class Within:
    """The range of a field's values: low <= value < high."""

    low: float
    high: float
    words: str


Count = typing.Annotated[int, Within(1, math.inf, "at least 1")]
Natural = typing.Annotated[int, Within(0, math.inf, "at least 0")]
Nonnegative = typing.Annotated[float, Within(0, math.inf, "at least 0")]
Positive = typing.Annotated[float, Within(math.ulp(0.0), math.inf, "above 0")]
Rate = typing.Annotated[float, Within(0, 1, "at least 0 and below 1")]
Seed = typing.Annotated[int, Within(0, 2**32, "at least 0 and below 2**32")]


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
class Spec:
    """Base of every spec. A subclass only declares fields; it becomes a frozen dataclass by itself.

    Raises:
      UserError: a field has the wrong type, or `check` finds a value out of range.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        known = _KINDS.setdefault(cls.__name__, cls)
        if known is not cls and known.__module__ != cls.__module__:
            both = f"{known.__module__} and {cls.__module__}"
            raise TypeError(f"two specs are called {cls.__name__}, in {both}")
        _KINDS[cls.__name__] = cls

    def __post_init__(self):
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            if not fits(value, hint):
                kind = type(self).__name__
                raise UserError(f"{kind}.{name} is {value!r}, but it must be {words(hint)}")
        for name, within in _ranges(type(self)).items():
            value = getattr(self, name)
            if value is not None and not within.low <= value < within.high:
                kind = type(self).__name__
                raise UserError(f"{kind}.{name} is {value!r}, but it must be {within.words}")
        self.check()

    def check(self) -> None:
        """What the fields' types do not say, such as divisibility; raises UserError."""


@functools.cache
def _hints(cls) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


@functools.cache
def _ranges(cls) -> dict[str, Within]:
    hints = typing.get_type_hints(cls, include_extras=True)
    parts = {f.name: (hints[f.name], *typing.get_args(hints[f.name]))
             for f in dataclasses.fields(cls)}
    return {name: extra for name, types_ in parts.items() for part in types_
            for extra in getattr(part, "__metadata__", ())}


def fits(value, hint) -> bool:
    """Whether a value is what a type hint says; unknown kinds of hints let everything pass."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in options)
    if origin is typing.Literal:
        return value in options
    if origin is tuple or hint is tuple:
        if not isinstance(value, tuple):
            return False
        if len(options) == 2 and options[1] is Ellipsis:
            return all(fits(v, options[0]) for v in value)
        return not options or (
            len(options) == len(value) and all(map(fits, value, options))
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def words(hint) -> str:
    """A type hint in words for messages."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "none"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words(option) for option in options)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, options))
    return hint.__name__ if isinstance(hint, type) and not options else str(hint)


def nearest(name: str, known) -> str:
    """', did you mean a, b or c?' for the (at most three) nearest of the known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
    return f"; did you mean {' or '.join(close)}?" if close else ""


def to_json(value) -> Any:
    """A JSON-ready tree: specs become objects with a `kind`, tuples become lists."""
    if isinstance(value, Spec):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, (tuple, list)):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    return value


def from_json(tree, where: str = "spec") -> Any:
    """The inverse of `to_json`. Every kind that occurs must have been imported.

    Raises:
      UserError: an unknown kind or field, with the nearest names.
    """
    if isinstance(tree, list):
        return tuple(from_json(v, f"{where}.{n}") for n, v in enumerate(tree))
    if not isinstance(tree, dict):
        return tree
    if "kind" not in tree:
        return {k: from_json(v, f"{where}.{k}") for k, v in tree.items()}
    fields = {k: from_json(v, f"{where}.{k}") for k, v in tree.items() if k != "kind"}
    return build(tree["kind"], fields, where)


def build(kind: str, fields: dict[str, Any], where: str) -> Spec:
    """The spec `kind(**fields)`; unknown names raise UserError with the nearest ones."""
    if kind not in _KINDS:
        raise UserError(f"{where}: there is no kind {kind!r}{nearest(kind, _KINDS)}")
    cls = _KINDS[kind]
    for name in fields:
        if name not in _hints(cls):
            raise UserError(f"{where}: {kind} has no field {name!r}{nearest(name, _hints(cls))}")
    missing = [f.name for f in dataclasses.fields(cls) if f.name not in fields
               and f.default is f.default_factory is dataclasses.MISSING]
    if missing:
        raise UserError(f"{where}: {kind} needs a value for {', '.join(missing)}")
    return cls(**fields)


def setting(text: str) -> tuple[str, str]:
    """--path.to.field=VALUE of a command line as (path, value)."""
    path, equals, value = text.removeprefix("--").partition("=")
    if not text.startswith("--") or not equals:
        raise UserError(f"cannot read {text!r}; fields are set as --path.to.field=VALUE")
    return path, value


def override(value: Spec, path: str, text: str, where: str = "command line") -> Spec:
    """`value` with the field at a dotted path replaced by what `text` says.

    `text` is read as the type of the field: a number, true/false, none, a string, a comma-separated
    list, or a whole spec written as `Kind(field=value, ...)`. Numbers in the path index tuples.

    Raises:
      UserError: an unknown field (with the nearest three) or a text that does not fit the type.
    """
    head, _, rest = path.partition(".")
    if isinstance(value, tuple):
        named = [n for n, v in enumerate(value) if isinstance(v, tuple) and v and v[0] == head]
        if not named and not (head.isdigit() and int(head) < len(value)):
            raise UserError(f"{where}: {head!r} is not an entry of a list of {len(value)}")
        n = named[0] if named else int(head)
        if named:
            new = (head, _replace(value[n][1], rest, text, Any, where))
        else:
            new = _replace(value[n], rest, text, Any, where)
        return (*value[:n], new, *value[n + 1:])
    if not isinstance(value, Spec):
        raise UserError(f"{where}: {path!r} leads into {value!r}, which has no fields")
    hints = _hints(type(value))
    if head not in hints:
        kind = type(value).__name__
        raise UserError(f"{where}: {kind} has no field {head!r}{nearest(head, hints)}")
    new = _replace(getattr(value, head), rest, text, hints[head], where)
    return dataclasses.replace(value, **{head: new})


def _replace(old, rest: str, text: str, hint, where: str):
    if rest:
        return override(old, rest, text, where)
    new = read(text, hint, where)
    if not fits(new, hint):
        raise UserError(f"{where}: {text!r} is not {words(hint)}")
    return new


def read(text: str, hint=Any, where: str = "command line"):
    """The value that `text` spells for a field of type `hint`."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (
        typing.Union, types.UnionType, typing.Literal) else (hint,)
    spelled = re.match(r"[A-Z]\w*\(", text)  # a whole spec
    if text in options or (str in options and not (spelled and len(options) > 1)):
        return None if type(None) in options and text.lower() in ("none", "") else text
    wants_tuple = any(o is tuple or typing.get_origin(o) is tuple for o in options)
    if wants_tuple and not text:
        return ()
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    if any(typing.get_args(o)[:1] == (str,) for o in options) and text[:1] not in "([":
        return tuple(part.strip() for part in text.split(","))
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        if spelled:
            raise UserError(f"{where}: cannot read {text!r}; put quotes around its texts, as in "
                            "Text(path='data/*.txt')") from None
        return text
    value = _literal(tree, where)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return (value,) if wants_tuple and not isinstance(value, tuple) else value


def _literal(tree, where: str):
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        if tree.args:
            raise UserError(f"{where}: name the fields of {tree.func.id}, as in "
                            f"{tree.func.id}(field={ast.unparse(tree.args[0])})")
        fields = {k.arg: _literal(k.value, where) for k in tree.keywords}
        return build(tree.func.id, fields, where)
    if isinstance(tree, (ast.Tuple, ast.List)):
        return tuple(_literal(e, where) for e in tree.elts)
    if isinstance(tree, ast.Name):
        return {"true": True, "false": False, "none": None}.get(tree.id.lower(), tree.id)
    try:
        return ast.literal_eval(tree)
    except ValueError:
        raise UserError(f"{where}: cannot read {ast.unparse(tree)!r}") from None


def difference(old, new, path: str = "") -> list[str]:
    """Lines `path: old -> new`, one for every leaf in which two specs differ."""
    if isinstance(old, Spec) and type(old) is type(new):
        names = [f.name for f in dataclasses.fields(old)]
        pairs = [(n, getattr(old, n), getattr(new, n)) for n in names]
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = [(str(n), a, b) for n, (a, b) in enumerate(zip(old, new))]
    else:
        return [] if old == new else [f"{path}: {old!r} -> {new!r}"]
    return [line for n, a, b in pairs for line in difference(a, b, f"{path}.{n}" if path else n)]
