"""Teacher forcing: the decoder reads the target shifted right and predicts it (Vaswani 2017 §3)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from transformer.objectives.next_token import scored
from transformer.objectives.objective import Objective, special
from transformer.spec import Rate


class SequenceToSequence(Objective):
    """Predict a target from a source.

    smoothing: label smoothing, in training only, so that evaluation reports plain nats.
    spread: where the smoothed probability goes; see `ops.loss.cross_entropy`.
    z: see `ops.loss.cross_entropy`; in training only.
    start: the special piece that the decoder reads first; T5 takes "pad", BART "eos".
    """

    smoothing: Rate = 0.0
    spread: Literal["all", "others"] = "all"
    z: Rate = 0.0
    start: Literal["bos", "eos", "start", "pad"] = "bos"
    main: ClassVar[str] = "target"
    needs: ClassVar[tuple[str, ...]] = ("source_tokens",)

    def first(self, tokenizer) -> int:
        """The id that generation starts from."""
        return special(tokenizer, self.start)

    def prepare(self, example, rng, tokenizer):
        """tokens [T] = y + eos -> tokens = start + y, targets = y + eos, weights = not padding.

        The target already ends with eos (the task puts it there), so nothing grows and targets
        packed into one row shift each within its own segment.
        """
        targets, segments = example["tokens"], example["segments"]
        tokens, before = np.roll(targets, 1), np.roll(segments, 1)
        before[0] = 0
        tokens = np.where(segments == before, tokens, self.first(tokenizer))
        tokens = np.where(segments > 0, tokens, targets)
        return {**example, "tokens": tokens.astype(targets.dtype), "targets": targets,
                "weights": (segments > 0).astype(np.float32)}

    def weights(self, batch):
        total = batch["weights"].sum()
        return {"target": total, "accuracy": total}

    def loss(self, apply, params, batch, rng, train):
        logits = self.run(apply, params, batch, rng, train)["logits"]
        how = dict(smoothing=self.smoothing, spread=self.spread, z=self.z) if train else {}
        return scored(self.main, logits, batch, train, **how)
