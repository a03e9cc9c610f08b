"""Encoding with a SentencePiece model, so that every text comes back as it was."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from transformer.data.characters import begins_word, refuse_surrogates
from transformer.data.special import named
from transformer.data.tokenizer import Span, Tokenizer
from transformer.error import UserError

SPACE = "\u2581"  # how SentencePiece writes a space; in text it cannot tell the two apart
PART = 16_000  # characters; its BPE slows down on longer texts, and parts run in parallel
LITTLE = 10_000  # characters in a batch; starting threads takes longer than encoding so few
# No piece holds a newline and more, or a space after something else: a cut there splits none.
BOUNDARY = re.compile("(?<=\n)|(?<=[^ ])(?= )")


class FilePieceTokenizer(Tokenizer):
    """A SentencePiece model as it is. `where`: what to call it when it cannot be read."""

    def __init__(self, spec, content, where: str, model: bytes):
        import sentencepiece

        try:
            self._model = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            raise UserError(f"{where} is not a SentencePiece model, or damaged") from None
        super().__init__(spec, content, self._model.get_piece_size(), self._named())
        self._threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1

    def _named(self) -> dict[str, int]:
        model = self._model
        declared = {"pad": model.pad_id(), "unk": model.unk_id(), "bos": model.bos_id(),
                    "eos": model.eos_id()}
        return named(self._control) | {name: n for name, n in declared.items() if n >= 0}

    def _control(self, spelled: str) -> int | None:
        token = self._model.piece_to_id(spelled)
        here = self._model.id_to_piece(token) == spelled
        return token if here and self._is_special(token) else None

    def _is_special(self, token: int) -> bool:
        return self._model.is_control(token) or self._model.is_unknown(token)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._encoded(list(texts))

    def _encoded(self, texts: list[str], **options):
        """What SentencePiece returns, its complaint about surrogates made readable."""
        try:
            if sum(map(len, texts)) < LITTLE:
                return [self._model.encode(text, **options) for text in texts]
            return self._model.encode(texts, num_threads=self._threads, **options)
        except (RuntimeError, TypeError):
            refuse_surrogates(texts)
            raise

    def spans(self, text: str) -> tuple[list[int], list[Span]]:
        found = self._encoded([text], return_type="offset_mapping")[0]
        return found["ids"], _widened(found["offsets"])

    def _text(self, ids: list[int]) -> str:
        return self._model.decode(ids)

    def piece(self, token: int) -> str:
        return self._model.id_to_piece(token)

    def word_starts(self) -> np.ndarray:
        return np.array([self._starts_word(token) for token in range(self.size)])

    def _starts_word(self, token: int) -> bool:
        piece = self._model.id_to_piece(token)
        if self._model.is_byte(token):
            value = int(piece[1:-1], 16)
            return value < 0x80 and begins_word(chr(value))  # else some byte of a longer character
        return self._is_special(token) or begins_word(piece.replace(SPACE, " "))


def _widened(spans: list[Span]) -> list[Span]:
    """SentencePiece gives a character to the last of its bytes; here each of them gets it."""
    wide, start, end = [], -1, -1
    for first, last in reversed(spans):
        start, end = first, end if first == last and first == start else last
        wide.append((start, end))
    return wide[::-1]


class PieceTokenizer(FilePieceTokenizer):
    """A model of ours: without a dummy prefix, its pieces never reaching past a newline or a word.

    A space mark in the text is written in bytes, and long texts are encoded in parts.
    """

    def __init__(self, spec, content, where: str, model: bytes):
        super().__init__(spec, content, where, model)
        mark = [self._model.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE.encode()]
        self._mark = mark if spec.byte_fallback else None
        self._lowercase = spec.normalization == "lowercase"

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        texts = self._shaped(texts)
        if max(map(len, texts), default=0) <= PART and SPACE not in "".join(texts):
            return self._encoded(texts)
        split = [self._parts(text) for text in texts]
        encoded = iter(self._encoded([p for parts in split for p in parts if not self._is_mark(p)]))
        return [self._joined(parts, encoded) for parts in split]

    def _joined(self, parts: list[str], encoded: Iterator[list[int]]) -> list[int]:
        ids = (self._mark if self._is_mark(part) else next(encoded) for part in parts)
        return list(itertools.chain.from_iterable(ids))

    def _is_mark(self, part: str) -> bool:
        return part == SPACE and self._mark is not None

    def _shaped(self, texts: Sequence[str]) -> list[str]:
        return [lowered(text) for text in texts] if self._lowercase else list(texts)

    def _parts(self, text: str) -> list[str]:
        marks = re.split(f"({SPACE})", text) if self._mark else [text]
        return [part for between in marks for part in cut(between)]

    def spans(self, text: str) -> tuple[list[int], list[Span]]:
        ids, spans, start = [], [], 0
        for part in self._parts(*self._shaped([text])):
            if self._is_mark(part):
                found, offsets = self._mark, [(0, 1)] * len(self._mark)
            else:
                found, offsets = super().spans(part)
            ids += found
            spans += [(start + first, start + last) for first, last in offsets]
            start += len(part)
        return ids, spans


def cut(text: str) -> Iterator[str]:
    """The text in parts of `PART` characters, each reaching on to where a cut changes nothing."""
    start = 0
    while len(text) - start > PART:
        boundary = BOUNDARY.search(text, start + PART)
        end = boundary.start() if boundary else len(text)
        yield text[start:end]
        start = end
    yield text[start:]


def lowered(text: str) -> str:
    """`text` in lower case, each character still one character."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower()[0] for c in text)
