"""What the two objectives about pairs of sentences share."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.objective import Objective, present
from transformer.ops.loss import cross_entropy, hits, weighted


class SentencePair(Objective):
    """Masked language modelling and, of the same rows, the cross-entropy of `labels` [B].

    The rows are `data.pairs.Pairs`. Each of the two losses is a mean of its own and counts once.

    masked: how rows are masked.
    relation: the array of the rows that becomes `labels`, and the name of the term.
    head: what it is read from, [B, 2].
    """

    masked: MaskedLM = MaskedLM()
    main: ClassVar[str] = "masked"
    relation: ClassVar[str]
    head: ClassVar[str]

    def prepare(self, example, rng, tokenizer):
        """As `MaskedLM.prepare`, and `labels` []."""
        row = self.masked.prepare(example, rng, tokenizer)
        row["labels"] = row.pop(self.relation)
        return row

    def weights(self, batch):
        rows = present(batch, batch["labels"].shape).sum()
        return {**self.masked.weights(batch), self.relation: rows,
                f"{self.relation}_accuracy": rows}

    def loss(self, apply, params, batch, rng, train):
        outputs, labels_B = self.run(apply, params, batch, rng, train), batch["labels"]
        logits_BC, weights_B = outputs[self.head], present(batch, labels_B.shape)
        return {
            **self.masked.scored(outputs["mlm"], batch),
            self.relation: weighted(cross_entropy(logits_BC, labels_B), weights_B),
            f"{self.relation}_accuracy": weighted(hits(logits_BC, labels_B), weights_B, 0.0)}
