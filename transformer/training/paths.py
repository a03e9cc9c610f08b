"""Parameters addressed by path: decay exclusion, freezing, depth in the network.

A path is the names from the root joined by "/", such as `stack/segment_0/0_attention/query`.
Leaves below a `segment_n` hold all repeats of that segment along their first axis, so their rank
counts one more than the rank of one layer's parameter. Leaves below a `shared_n` are what the
repeats of that segment have in common: one parameter, not stacked.
"""

from __future__ import annotations

import re

import jax
import numpy as np

from transformer.error import UserError

NO_DECAY = (r"(^|/|_)bias$", r"(^|/)(scale|shift)$")
_LAYERS = re.compile(
    r"^(?P<stack>(.*/)?)(?P<kind>segment|shared)_(?P<number>\d+)/(?P<block>\d+)?")
_RECURRENT = re.compile(r"(^|/)layer_(\d+)")  # each layer by itself
_DEPTHS = (  # of what is in no layer: its name, and what is added to L where it is after the layers
    (re.compile(r"(^|/)[a-z_]*embedding/"), None),
    (re.compile(r"(^|/)(stack|encoder|decoder)/bias(/|$)"), None),
    (re.compile(r"(^|/)(align|start)/"), None),
    (re.compile(r"(^|/)(final_norm|pooler|readout)/"), 1),
    (re.compile(r"(^|/)heads_"), 2))


def named(tree) -> dict:
    """{path: leaf} in the order of the tree's leaves."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in pairs}


def like(tree, values: dict):
    """A tree of the structure of `tree` with the leaf at each path taken from `values`."""
    return jax.tree.unflatten(jax.tree.structure(tree), [values[path] for path in named(tree)])


def nested(values: dict) -> dict:
    """{path: leaf} as nested dicts, one level for each name."""
    tree: dict = {}
    for path, leaf in values.items():
        *parents, last = path.split("/")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = leaf
    return tree


def matches(path: str, patterns) -> bool:
    """Whether one of the regular expressions is found somewhere in the path."""
    return any(re.search(pattern, path) for pattern in patterns)


def check_patterns(patterns, where: str) -> None:
    """Raises UserError for a pattern that is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{where}: {pattern!r} is no regular expression: {error}") from None


def require_use(tree, patterns, where: str) -> None:
    """Raises UserError for a pattern that matches no parameter: most likely a typing error."""
    for pattern in patterns:
        if not any(re.search(pattern, path) for path in named(tree)):
            some = ", ".join(list(named(tree))[:3])
            raise UserError(f"{where}: {pattern!r} matches no parameter; paths look like {some}")


def stacked(path: str) -> bool:
    """Whether the leaf at this path holds several layers along its first axis."""
    here = _LAYERS.match(path)
    return here is not None and here["kind"] == "segment"


def decayed(tree, exclude=NO_DECAY):
    """A tree of bools: False for excluded paths and for vectors and scalars of one layer."""
    def decays(path, leaf):
        return leaf.ndim - stacked(path) > 1 and not matches(path, exclude)
    return like(tree, {path: decays(path, leaf) for path, leaf in named(tree).items()})


def without(tree, patterns) -> dict:
    """`tree` as nested dicts that lack the leaves whose path matches."""
    kept = {p: leaf for p, leaf in named(tree).items() if not matches(p, patterns)}
    return nested(kept)


def layers(tree) -> int:
    """L, the layers of the deepest stack. A segment that shares all it has counts each block once:
    nothing in the tree says how often it is used.
    """
    single = (int(here[2]) + 1 for path in named(tree) if (here := _RECURRENT.search(path)))
    return max((*_starts(_blocks(tree))[1].values(), *single), default=0)


def depths(tree) -> dict:
    """{path: depth}: 0 for embeddings, relative biases and what carries a recurrent encoder over to
    the decoder; 1..L for the layers, an array for a stacked leaf and the last of its layers for a
    shared one.

    L + 1 for a final norm, pooler or readout and L + 2 for heads, the numbering of ELECTRA's
    layer-wise decay. Each stack of an encoder-decoder or a pair counts its own layers.
    """
    patterns, top = _blocks(tree), layers(tree)
    starts, _ = _starts(patterns)
    return {path: _depth(path, starts, patterns, top) for path in named(tree)}


def _blocks(tree) -> dict:
    """{(stack, segment number): (blocks in the pattern, repeats)}."""
    found: dict = {}
    for path, leaf in named(tree).items():
        if here := _LAYERS.match(path):
            key = here["stack"], int(here["number"])
            blocks, repeats = found.get(key, (0, 1))
            found[key] = (max(blocks, int(here["block"] or 0) + 1),
                          leaf.shape[0] if here["kind"] == "segment" else repeats)
    return found


def _starts(patterns) -> tuple[dict, dict]:
    """{(stack, segment number): layers below it} and {stack: its layers}."""
    starts, deepest = {}, {}
    for (stack, number), (blocks, repeats) in sorted(patterns.items()):
        starts[stack, number] = deepest.get(stack, 0)
        deepest[stack] = starts[stack, number] + blocks * repeats
    return starts, deepest


def _depth(path: str, starts, patterns, top: int):
    if here := _LAYERS.match(path):
        key = here["stack"], int(here["number"])
        blocks, repeats = patterns[key]
        held = starts[key] + 1 + int(here["block"] or 0) + blocks * np.arange(repeats)
        return held if here["kind"] == "segment" else int(held[-1])
    if here := _RECURRENT.search(path):
        return int(here[2]) + 1
    for pattern, above in _DEPTHS:
        if pattern.search(path):
            return 0 if above is None else top + above
    raise UserError(f"layer-wise decay knows no depth for the parameter {path}")
