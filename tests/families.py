"""The families of the zoo, found on disk: a new file comes under every test of its kind.

A few of them run by default, one for each mechanism; all of them with `-m full`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

import pytest

import transformer.zoo
from transformer.nn.feedforward import FeedForward
from transformer.nn.model import Decoder, SourceToTarget
from transformer.spec import from_json, to_json

ALL = tuple(module.name for module in pkgutil.iter_modules(transformer.zoo.__path__))
# Reaches so short that rows of a dozen tokens meet their ends.
NARROW = {"gpt3": {"band": 3}, "modernbert": {"reach": 2}}


@functools.cache
def value(name: str, size: str = "", **other):
    """The spec of a family at one of its sizes, the smallest if none is named, but for `other`."""
    zoo = importlib.import_module(f"transformer.zoo.{name}")
    size = size or min(zoo.SIZES, key=lambda s: zoo.SIZES[s]["width"])
    return getattr(zoo, name)(**{**zoo.SIZES[size], **NARROW.get(name, {}), **other})


DECODERS = tuple(name for name in ALL if type(value(name)) is Decoder)
TRANSLATORS = tuple(name for name in ALL if isinstance(value(name), SourceToTarget))
ENCODERS = tuple(name for name in ALL if name not in DECODERS + TRANSLATORS)


def plain(spec):
    """The spec with a feed-forward layer for each attention: a third of the time to compile."""
    def change(tree):
        if isinstance(tree, list):
            return [change(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        if tree.get("kind") == "Attention":
            return to_json(FeedForward(width=24, bias=tree["bias"], dropout=tree["dropout"]))
        return {k: change(v) for k, v in tree.items()}

    return from_json(change(to_json(spec)))


def cells(names, default) -> list:
    """Parameters of a test: those not in `default` only run with `-m full`."""
    assert not set(default) - set(names), set(default) - set(names)
    return [pytest.param(name, marks=[] if name in default else [pytest.mark.full])
            for name in names]
