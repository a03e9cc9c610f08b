"""Packed documents as a tokenizer made elsewhere frames a text."""

from __future__ import annotations

from transformer.data.corpus import Corpus
from transformer.data.items import items_of
from transformer.data.packing import Packed, PackedRows
from transformer.data.rowset import Rows
from transformer.error import UserError


class Framed(Packed):
    """`Packed`, with a piece behind each document as well.

    Attributes:
      closing: special piece behind each document or piece of one, such as "sep". A document of a
        corpus ends with eos where the tokenizer has it, and "eos" adds no other. A text that is
        read alone ends with nothing where this is None.
    """

    closing: str | None = None

    def check(self) -> None:
        super().check()
        if self.closing and self.length < 3:
            raise UserError(f"Framed.length is {self.length}, but a frame needs at least 3")

    def build(self, data: Corpus, lookahead: int = 0, tokenizer=None) -> Rows:
        """As `Packed`."""
        items = items_of(data, tokenizer, (self.length, lookahead), self.opening, self.closing)
        return PackedRows(self, items, lookahead)
