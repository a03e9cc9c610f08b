"""Vocabularies without pieces: every byte or every character is a token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np

from transformer.data.characters import begins_word, refuse_surrogates
from transformer.data.special import special_pieces
from transformer.data.tokenizer import Span, Tokenizer, TokenizerSpec
from transformer.error import UserError


class Bytes(TokenizerSpec):
    """The 256 bytes, after the special pieces. Nothing is learnt; every text round-trips."""

    sentinels: int = 0

    def check(self):
        check_sentinels(self)

    def train(self, documents: Iterable[str] = ()) -> Symbols:
        return self.open({})

    def open(self, content: dict[str, bytes]) -> Symbols:
        return Symbols(self, content, characters="", fall_back=True)


class Characters(TokenizerSpec):
    """The characters of the documents, in the order of their code points, after the special pieces.

    Attributes:
      unknown: what a character that was not among them becomes: its "bytes" (256 more ids, every
        text round-trips) or "unk" (it is lost).
    """

    files: ClassVar = ("characters.txt",)
    unknown: Literal["bytes", "unk"] = "bytes"
    sentinels: int = 0

    def check(self):
        check_sentinels(self)

    def train(self, documents: Iterable[str]) -> Symbols:
        seen: set[str] = set()
        for document in documents:
            seen.update(document)
        if not seen:
            raise UserError("there is no text to learn Characters from: every document is empty")
        characters = "".join(sorted(seen))
        refuse_surrogates([characters])
        return self.open({"characters.txt": characters.encode()})

    def open(self, content: dict[str, bytes]) -> Symbols:
        characters = content["characters.txt"].decode()
        return Symbols(self, content, characters, fall_back=self.unknown == "bytes")


def check_sentinels(spec) -> None:
    """Raises UserError for a negative number of sentinels."""
    if spec.sentinels < 0:
        kind = type(spec).__name__
        raise UserError(f"{kind}.sentinels is {spec.sentinels}, but it counts pieces")


class Symbols(Tokenizer):
    """Ids: special pieces, then `characters`, then (with `fall_back`) the 256 bytes."""

    def __init__(self, spec, content, characters: str, fall_back: bool):
        spelled = special_pieces(spec.sentinels)
        self._special = list(spelled.values())
        self._characters = characters
        self._bytes = len(self._special) + len(characters) if fall_back else None  # id of byte 0
        self._surface = [b""] * len(self._special) + [c.encode() for c in characters]
        self._surface += [bytes([b]) for b in range(256)] if fall_back else []
        self._lookup = np.full(0x110000, -1, np.int32)  # code point -> id
        self._lookup[_code_points(characters)] = np.arange(len(characters)) + len(self._special)
        super().__init__(spec, content, len(self._surface), {n: i for i, n in enumerate(spelled)})

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of every text, on one core: table look-ups do not gain from more."""
        return [self._encode(text)[0].tolist() for text in texts]

    def spans(self, text: str) -> tuple[list[int], list[Span]]:
        ids, at = self._encode(text)
        at = np.arange(len(text)) if at is None else at
        return ids.tolist(), list(zip(at.tolist(), (at + 1).tolist()))

    def _encode(self, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Ids, and the character that each comes from (None: one each)."""
        refuse_surrogates([text])
        ids = self._lookup[_code_points(text)]
        if ids.size == 0 or ids.min() >= 0:
            return ids, None
        if self._bytes is None:
            return np.where(ids < 0, self.special["unk"], ids), None
        data = np.frombuffer(text.encode(), np.uint8)
        leads = (data & 0xC0) != 0x80  # the first byte of each character
        at = np.cumsum(leads) - 1
        known = ids[at] >= 0
        kept = leads | ~known
        return np.where(known, ids[at], data + np.int32(self._bytes))[kept], at[kept]

    def _text(self, ids: list[int]) -> str:
        return b"".join(map(self._surface.__getitem__, ids)).decode(errors="replace")

    def piece(self, token: int) -> str:
        if token < len(self._special):
            return self._special[token]
        if self._bytes is not None and token >= self._bytes:
            return f"<0x{token - self._bytes:02X}>"
        return self._characters[token - len(self._special)]

    def word_starts(self) -> np.ndarray:
        starts = [begins_word(surface.decode(errors="ignore")) for surface in self._surface]
        starts[:len(self._special)] = [True] * len(self._special)
        return np.array(starts)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
