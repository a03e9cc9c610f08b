"""Which of Hugging Face's classes an architecture is, found by going there and back.

A family's `config` says what it can of an architecture, and its `spec` reads that again. If what
comes back computes the same, the class is the counterpart; if not, the difference is the reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from transformer.error import UserError
from transformer.interop.anatomy import Unlike, differences
from transformer.interop.config import Config
from transformer.interop.family import Family, Unsupported, known
from transformer.interop.table import Row
from transformer.nn.head import NoPooler, Pooler, Tied, Untied
from transformer.nn.model import Encoder
from transformer.ops.placement import letters
from transformer.spec import Spec

POSITIONS = "embedding/positions"


@dataclasses.dataclass(frozen=True)
class Counterpart:
    """A model in their terms. tree: its config.json. notes: what of ours has no place there."""

    family: Family
    architecture: str
    tree: dict
    spec: Spec
    rows: list[Row]
    params: dict[str, np.ndarray]
    notes: list[str]


def counterpart(spec: Spec, params: dict, family: Family | None, base: dict) -> Counterpart:
    """The class of Hugging Face that computes what `spec` does.

    Args:
      params: {path: array}. family, base: what it was imported from, which is tried first.

    Raises:
      Unsupported: there is none; the line names the nearest and what differs.
    """
    families = sorted(known().values(), key=lambda each: each is not family)
    reasons: list[tuple[int, str]] = []
    for each in families:
        for ours, note in _variants(spec):
            names = tuple(name for name, _ in ours.heads)
            for architecture, heads in each.architectures.items():
                if sorted(heads) != sorted(names):
                    continue
                ours = dataclasses.replace(ours, heads=tuple(
                    (name, dict(ours.heads)[name]) for name in heads))
                tree, wrong = _tried(each, architecture, ours, base if each is family else {})
                if not wrong:
                    return _made(each, architecture, tree, ours, params, note)
                reasons.append((len(wrong), f"{architecture}: {'; '.join(wrong[:3])}"))
    nearest = min(reasons)[1] if reasons else (
        f"no class of theirs has the heads {', '.join(n for n, _ in spec.heads) or 'none'}")
    raise Unsupported(f"Hugging Face has no such model ({nearest}); `--format=stablehlo` writes "
                      f"one that runs without this project. Supported: {', '.join(known())}")


def _tried(family: Family, architecture: str, spec: Spec, base: dict) -> tuple[dict, list[str]]:
    """The config.json of a class, and in what its model would differ from ours."""
    tied = not any(isinstance(head, Untied) for _, head in spec.heads)
    try:
        about = family.config(spec)
        if "logits" in dict(spec.heads) and not family.forced:
            about["tie_word_embeddings"] = tied
        names = frozenset(name for each in family.rows(spec) for name in each.names())
    except (Unlike, UserError) as reason:
        return {}, [str(reason)] * 9
    fixed = {"model_type": family.model_type, "architectures": [architecture]}
    labels = {f"{n}": "" for name, head in spec.heads for n in range(
        head.classes if name in ("classes", "tags") else 0)}
    wrong: list[str] = []
    # what it was imported with, where that still says the same; else what we say
    for tree in ({**about, **base}, {"tie_word_embeddings": family.ties, **base, **about}):
        read = {**tree, "id2label": labels} if labels else tree
        try:
            again = family.spec(Config(read, "config.json", architecture, tied, names),
                                family.architectures[architecture])
        except UserError as reason:
            wrong = [str(reason)] * 9
            continue
        if not (wrong := differences(spec, again)):
            return {**tree, **fixed}, []
    return {}, wrong


def _variants(spec: Spec) -> Iterator[tuple[Spec, list[str]]]:
    """The model; then without what no output of it needs: a tied head beside another, a pooler
    that no head reads."""
    yield spec, []
    untied = tuple(head for head in spec.heads if not isinstance(head[1], Tied))
    if untied and untied != spec.heads:
        yield dataclasses.replace(spec, heads=untied), ["the head that predicts tokens is left out"]
    if isinstance(getattr(spec, "pooler", None), Pooler) and spec.heads:
        yield dataclasses.replace(spec, pooler=NoPooler()), ["the pooler, which no head reads, is "
                                                             "left out"]


def _made(family, architecture, tree, spec, params, notes) -> Counterpart:
    rows = family.rows(spec)
    read = {path for each in rows for path in each.ours}
    dtype = params["embedding/tokens"].dtype
    tree = {**tree, "dtype": str(dtype)}
    tree.pop("torch_dtype", None)
    return Counterpart(family, architecture, tree, spec, rows,
                       {path: array for path, array in params.items() if path in read}, notes)


def trimmed(spec: Spec, params: dict, size: int) -> tuple[Spec, dict]:
    """The model without the rows of its vocabulary beyond `size`, which pad it for speed."""
    def cut(path, array):
        return tuple(slice(size) if letter == "V" else slice(None)
                     for letter in letters(path, array.ndim))

    heads = tuple((name, dataclasses.replace(head, vocab=size) if hasattr(head, "vocab") else head)
                  for name, head in spec.heads)
    embeddings = {name: dataclasses.replace(getattr(spec, name), vocab=size)
                  for name in ("embedding", "source_embedding") if getattr(spec, name, None)}
    return (dataclasses.replace(spec, **embeddings, heads=heads),
            {path: array[cut(path, array)] for path, array in params.items()})


def aligned(spec: Spec, params: dict, pad: int) -> tuple[Spec, dict]:
    """The model with as many unread rows before its positions as RoBERTa has for a padding id:
    positions begin behind it. Other kinds of models as they are."""
    position = spec.embedding.position
    offset = getattr(position, "offset", 0)
    if type(spec) is not Encoder or offset in (0, pad + 1):
        return spec, params
    read = params[POSITIONS][offset:]
    table = np.concatenate([np.zeros((pad + 1, *read.shape[1:]), read.dtype), read])
    position = dataclasses.replace(position, offset=pad + 1)
    embedding = dataclasses.replace(spec.embedding, position=position)
    return dataclasses.replace(spec, embedding=embedding), {**params, POSITIONS: table}
