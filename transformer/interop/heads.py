"""Heads that families share: what Hugging Face puts on a causal model, and on an encoder."""

from __future__ import annotations

from transformer.interop.config import Config
from transformer.interop.family import Unlike
from transformer.interop.table import Linear, Row, dense, norm, row
from transformer.nn.head import Classes, Tied, TokenClasses, Untied
from transformer.spec import Spec


def causal(names: tuple[str, ...], config: Config, **others: Spec) -> tuple:
    """((name, head), ...) of a decoder.

    Sequences are classified without a bias, and the scores of choices ("score", of the double
    heads) with one. others: heads by name that the family has instead.
    """
    known = {"logits": lambda: Tied() if config.tied else Untied(vocab=config.count("vocab_size")),
             "score": lambda: Classes(classes=1),
             "classes": lambda: Classes(classes=config.labels(), bias=False),
             "tags": lambda: TokenClasses(classes=config.labels()),
             "span": lambda: TokenClasses(classes=2)}
    return tuple((name, others[name] if name in others else known[name]()) for name in names)


def encoding(names: tuple[str, ...], config: Config, dropout: float, **others: Spec) -> tuple:
    """((name, head), ...) of an encoder. dropout: rate before a classifier. others: as above."""
    known = {"nsp": lambda: Classes(classes=2),
             "classes": lambda: Classes(classes=config.labels(), dropout=dropout),
             "score": lambda: Classes(classes=1, dropout=dropout),
             "tags": lambda: TokenClasses(classes=config.labels(), dropout=dropout),
             "span": lambda: TokenClasses(classes=config.labels())}
    return tuple((name, others[name] if name in others else known[name]()) for name in names)


def rows_of(spec: Spec, tables: dict[str, list[Row]]) -> list[Row]:
    """The rows of the heads that a model has, their paths put under the head's."""
    if missing := [name for name, _ in spec.heads if name not in tables]:
        raise Unlike(f"no class has the head {missing[0]}")
    return [Row(tuple(f"heads_{name}/{path}" for path in each.ours), each.theirs, each.form)
            for name, _ in spec.heads for each in tables[name]]


def classifier(theirs: str, bias=True) -> list[Row]:
    """Of Classes and TokenClasses."""
    return dense("classes", theirs, bias=bias)


def unembedding(spec: Spec, theirs: str = "lm_head.weight") -> list[Row]:
    """Of the head "logits": nothing where it is the token table."""
    untied = isinstance(dict(spec.heads).get("logits"), Untied)
    return [row("unembedding", theirs, Linear())] if untied else []


def masked(transform: str, norm_: str, bias: str) -> list[Row]:
    """Of Masked."""
    return [*dense("transform", transform), *norm("norm", norm_), row("vocab_bias", bias)]
