"""Pairs: two runs of sentences in a row, which follow each other or do not (Devlin 2019 §A.2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from transformer.data import order, pairing
from transformer.data.corpus import Corpus
from transformer.data.epochs import Epochs
from transformer.data.fingerprint import digest
from transformer.data.layout import Layout
from transformer.data.plan import kept
from transformer.data.rowset import Example, Rows, RowsSpec
from transformer.error import UserError
from transformer.spec import Rate

IN_ORDER = -1  # the epoch of evaluation
SMALL = 1 << 13  # sentences; a plan of fewer is made again faster than it is worth a file
RELATIONS = {"random": "next_sentence", "swapped": "sentence_order"}


class Pairs(RowsSpec):
    """Rows [cls] A [sep] B [sep] with `types` 0 and 1, by the rules of BERT's code, or ALBERT's.

    A chunk is as many sentences of a document as reach the target length, its first sentences, a
    random number of them, are A, and the others are B. The document goes on behind the chunk, or
    behind A if B was not used. A pair that is too long loses tokens of the longer side, from the
    front or the back with equal chance. See `data.sentences` for what a sentence is.

    short: share of the documents whose target is not `length` - 3 but uniform in [2, `length` - 3].
    contrast: what B is in half of the pairs. "random" is a run from another document (BERT),
      "swapped" the run before A (ALBERT). In a chunk of one sentence it is always random.

    Rows carry `next_sentence` (random) or `sentence_order` (swapped): 0 where B follows A, else 1.
    """

    short: Rate = 0.1
    contrast: Literal["random", "swapped"] = "random"
    opening: ClassVar[str] = "cls"
    closing: ClassVar[str] = "sep"

    def check(self) -> None:
        if self.length < 5:
            raise UserError(f"Pairs.length is {self.length}, but three special pieces and a token "
                            "on each side need 5")

    def build(self, data: Corpus, lookahead: int = 0, tokenizer=None) -> Rows:
        """Rows of {tokens, segments, types}, int32 [length], and the relation, int32.

        Raises:
          UserError: no corpus, fewer than two documents with text, an objective that predicts the
            next token, or a tokenizer without cls and sep.
        """
        if not isinstance(data, Corpus):
            raise UserError("Pairs cuts running text; labelled examples need Padded rows")
        if lookahead:
            raise UserError("Pairs rows are for objectives that read both sides, such as "
                            "NextSentence; next-token prediction needs Packed or Chunks")
        lacking = {"cls", "sep"} - data.tokenizer.special.keys()
        if lacking:
            raise UserError(f"Pairs needs the special pieces cls and sep, but the tokenizer has no "
                            f"{' and no '.join(sorted(lacking))}; train one that has them")
        return _Pairs(self, data)


class _Pairs(Rows):
    def __init__(self, spec: Pairs, corpus: Corpus):
        fingerprint = digest([pairing.FORMAT, corpus.fingerprint])
        super().__init__(spec, fingerprint, corpus.tokenizer, 0)
        self._corpus, self._layout = corpus, Layout(corpus)
        if len(self._layout) < 2:
            raise UserError(f"the corpus has {len(self._layout)} document with text, but B comes "
                            "from another; see how the source tells them apart, or give more text")
        self._epochs = Epochs(self._planned, len)

    @property
    def count(self) -> int:
        return len(self._epochs.table(IN_ORDER, 0))

    def example(self, row: int, width: int = 0) -> Example:
        return self._row(self._epochs.table(IN_ORDER, 0)[row])

    def draw(self, number: int, batch: int, seed: int) -> Example:
        table, epoch, position = self._epochs.find(number, seed)
        return self._row(table[order.permute(len(table), position, order.key(seed, epoch, 1))])

    def _row(self, planned: np.ndarray) -> Example:
        a, a_end, b, b_end, label = planned.tolist()
        one, two = self._corpus.read(a, a_end), self._corpus.read(b, b_end)
        cls, sep = (self.tokenizer.special[name] for name in ("cls", "sep"))
        held = np.concatenate([[cls], one, [sep], two, [sep]]).astype(np.int32)
        tokens = np.full(self.spec.length, self.pad, np.int32)
        tokens[:len(held)] = held
        places = np.arange(self.spec.length)
        second = (places >= len(one) + 2) & (places < len(held))
        return {"tokens": tokens, "segments": (places < len(held)).astype(np.int32),
                "types": second.astype(np.int32),
                RELATIONS[self.spec.contrast]: np.int32(label)}

    def _planned(self, epoch: int, seed: int) -> np.ndarray:
        def plan():
            rng = order.generator(epoch, seed, pairing.FORMAT)
            room, swap = self.spec.length - 3, self.spec.contrast == "swapped"
            return pairing.plan(self._layout, room, self.spec.short, swap, rng)

        if len(self._layout.ends) < SMALL:
            return plan()
        name = digest([self.fingerprint, epoch, seed])[:32]
        return kept(self._corpus.directory / "plans" / f"{name}.npy", pairing.is_plan, plan)
