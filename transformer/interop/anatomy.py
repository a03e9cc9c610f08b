"""Taking an architecture apart, and telling whether two of them compute the same."""

from __future__ import annotations

from transformer.interop.family import Unlike
from transformer.nn.stack import Stack
from transformer.spec import Spec, to_json

# What changes how a model begins and learns, but not what it computes from its parameters.
TRAINING = ("init", "dropout")  # names that end so


def sublayers(spec: Spec, kind: type, *names: str) -> list[Spec]:
    """The sublayers of the first block of an encoder or decoder. Unlike if the form is another."""
    if type(spec) is not kind:
        raise Unlike(f"a {kind.__name__} is needed, this is a {type(spec).__name__}")
    return block(spec.stack, *names)


def block(stack: Stack, *names: str) -> list[Spec]:
    """The sublayers of a stack's first block, which have these names."""
    found = dict(stack.segments[0].pattern[0].sublayers)
    if tuple(found) != names:
        raise Unlike(f"blocks of {', '.join(names)} are needed, these have {', '.join(found)}")
    return [found[name] for name in names]


def eps(norm: Spec) -> float:
    """What a norm adds. Unlike where there is no norm."""
    if not hasattr(norm, "eps"):
        raise Unlike(f"a norm is needed where this has {type(norm).__name__}")
    return norm.eps


def differences(ours: Spec, theirs: Spec) -> list[str]:
    """Lines `path: ours -> theirs` for everything in which the two compute differently."""
    return _differ(_plain(ours, ours.embedding.width), _plain(theirs, theirs.embedding.width), "")


def _plain(value, width: int):
    """JSON without what only training reads, the sizes of heads and all layers written out."""
    if isinstance(value, Spec):
        value = to_json(value)
    if isinstance(value, list):
        named = value and all(isinstance(v, list) and len(v) == 2 and isinstance(v[0], str)
                              for v in value)
        return _plain(dict(value), width) if named else [_plain(each, width) for each in value]
    if not isinstance(value, dict):
        return value
    if {"heads", "kv_heads", "head_dim"} <= value.keys():
        value = {**value, "kv_heads": value["kv_heads"] or value["heads"],
                 "head_dim": value["head_dim"] or width // value["heads"]}
    if value.get("kind") == Stack.__name__:
        value = {**value, "segments": [each for one in value["segments"] for each in _layers(one)]}
    return {name: _plain(each, width) for name, each in value.items()
            if not name.endswith(TRAINING)}


def _layers(segment: dict) -> list[dict]:
    """The blocks one by one: what repeats is a matter of form, unless parameters are shared."""
    return [segment] if segment["shared"] else segment["pattern"] * segment["repeats"]


def _differ(ours, theirs, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict) and list(ours) == list(theirs):
        pairs = [(name, ours[name], theirs[name]) for name in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(n), *pair) for n, pair in enumerate(zip(ours, theirs))]
    else:
        return [] if ours == theirs else [f"{path}: {_short(ours)} -> {_short(theirs)}"]
    return [line for name, *pair in pairs
            for line in _differ(*pair, f"{path}.{name}" if path else name)]


def _short(value) -> str:
    if isinstance(value, dict) and "kind" in value:
        return str(value["kind"])
    if isinstance(value, dict):
        return ", ".join(value) or "none"
    return f"{len(value)} of them" if isinstance(value, list) else repr(value)
