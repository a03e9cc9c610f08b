"""Facts about characters that every kind of tokenizer asks for."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from transformer.error import UserError

# Scripts that do not put spaces between words: there, every piece is taken for a word.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def begins_word(text: str) -> bool:
    """Whether a piece that stands for `text` begins a word: by a space, a mark, or its script."""
    if not text:
        return False
    first = text[0]
    letter = first.isalnum() or unicodedata.category(first).startswith("M")
    return not letter or unicodedata.name(first, "").startswith(UNSPACED)


def refuse_surrogates(texts: Iterable[str]) -> None:
    """Raises UserError for the first text with half of a surrogate pair; else returns."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"character {error.start} of a text is {text[error.start]!r}, half of "
                            "a surrogate pair: not valid Unicode; repair the text") from None
