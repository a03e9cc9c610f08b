"""Logits that are not made yet: a stream, and the table that would score it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from transformer.ops.linear import linear, unembed
from transformer.ops.norm import lift
from transformer.ops.placement import constrain


@dataclasses.dataclass(frozen=True)
class Unscored:
    """A stream and what would make logits of it.

    x: [B, T or N, D]. table: [V, D], or [D, V] if `untied`. bias_V: added to the logits, or None.
    letters: of the logits.
    """

    x: Any
    table: Any
    bias_V: Any = None
    untied: bool = False
    letters: str = "BTV"

    def logits(self):
        """[B, T or N, V], in the type of the stream."""
        if self.untied:
            found = linear("btd,dv->btv", self.x, self.table)
        else:
            found = unembed(self.x, self.table.astype(self.x.dtype))
        found = constrain(found, self.letters)
        return found if self.bias_V is None else found + lift(self.bias_V, 3).astype(found.dtype)


jax.tree_util.register_dataclass(Unscored, data_fields=["x", "table", "bias_V"],
                                 meta_fields=["untied", "letters"])


def whole(logits):
    """Logits, whether they came as such or unscored."""
    return logits.logits() if isinstance(logits, Unscored) else logits
