"""Language modelling beside a supervised objective (Radford 2018 §3.2)."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from transformer.error import UserError
from transformer.objectives.objective import Objective
from transformer.ops.loss import Term
from transformer.ops.prediction import predicted


class Supervised(Objective):
    """Base of objectives that read `labels`; `auxiliary` is lambda of L3 = L2 + lambda * L1.

    The auxiliary loss predicts each next token of the same row, special pieces included. It is a
    sum of per-sequence means, and every row counts as a sequence: the wrong choices too. It needs a
    head "logits" that reads the past only; 0 turns it off, which an encoder must ask for.
    """

    auxiliary: float = 0.5
    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def check(self):
        if self.auxiliary < 0:
            raise UserError(f"{type(self).__name__}.auxiliary is {self.auxiliary}, but it cannot "
                            "be negative; 0 turns the auxiliary loss off")

    def language_weights(self, batch) -> dict:
        """{"language": sequences}, or nothing where the auxiliary loss is off."""
        return {"language": _followed(batch).any(-1).sum()} if self.auxiliary else {}

    def language(self, outputs, batch) -> dict[str, Term]:
        """The auxiliary term, or nothing."""
        if not self.auxiliary:
            return {}
        # The last position predicts nothing: weighing it 0 is cheaper than a copy without it.
        followed_BT = jnp.pad(_followed(batch), ((0, 0), (0, 1))).astype(jnp.float32)
        count_B = followed_BT.sum(1)
        share_BT = followed_BT / jnp.maximum(count_B, 1)[:, None]  # sums become means of sequences
        nats = predicted(outputs["logits"], jnp.roll(batch["tokens"], -1, axis=1), share_BT)
        return {"language": Term(nats.sum, (count_B > 0).sum(dtype=jnp.float32), self.auxiliary)}


def _followed(batch):
    """Whether position t is followed by a token of the same document, for t < T - 1. [..., T-1]"""
    segments = batch["segments"]
    return (segments[..., 1:] == segments[..., :-1]) & (segments[..., 1:] > 0)
