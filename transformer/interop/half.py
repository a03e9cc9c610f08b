"""One half of a pair as a model by itself, on the tables that the discriminator lends."""

from __future__ import annotations

from transformer.nn.embedding import ALL
from transformer.nn.model import Encoder, Pair

PARTS = ("discriminator", "generator")


def half(spec: Pair, params: dict, part: str) -> tuple[Encoder, dict]:
    """The architecture and the parameters {path: array} of one of PARTS."""
    own = {path.removeprefix(f"{part}/"): array for path, array in params.items()
           if path.startswith(f"{part}/")}
    lent = {path.removeprefix("discriminator/"): array for path, array in params.items()
            if path.startswith(tuple(f"discriminator/embedding/{name}" for name in ALL))}
    return getattr(spec, part), {**lent, **own}
