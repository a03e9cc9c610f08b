"""The text behind the tokens of a corpus, in bounded memory however long a document is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

BLOCK = 1 << 20  # tokens decoded at once
CONTEXT = 16  # tokens decoded before a block: many decoders drop the space that begins a text
CHARACTER = 4  # tokens at most that make up one character: its bytes
BROKEN = "\ufffd"  # what half a character decodes to

Decode = Callable[[int, int], str]  # the text of the tokens from `start` to before `stop`


def blocks(decode: Decode, start: int, stop: int) -> Iterator[str]:
    """Texts that add up to `decode(start, stop)`, each of some `BLOCK` tokens.

    A block's text is what its tokens add to those before it. Blocks end with a whole character;
    only where `CHARACTER` tokens in a row belong to none may a broken one count twice.
    """
    held = start
    while held < stop:
        end = stop if stop - held <= BLOCK else _whole(decode, held + BLOCK)
        context = start if held == start else _whole(decode, held - CONTEXT)
        yield decode(context, end)[len(decode(context, held)):]
        held = end


def _whole(decode: Decode, at: int) -> int:
    """The last place up to `at` with a whole character before it.

    Then some window that ends there holds just that character; behind half of one, all windows end
    broken. One window is not enough: a decoder may break all bytes of a run that begins broken.
    """
    for place in range(at, at - CHARACTER, -1):
        windows = (decode(place - size, place) for size in range(1, CHARACTER + 1))
        if not all(text.endswith(BROKEN) for text in windows):
            return place
    return at


def words(texts: Iterable[str]) -> int:
    """Words of a text that comes in blocks, as str.split finds them, and its newlines."""
    count, inside = 0, False  # inside: the last block ended within a word
    for text in filter(None, texts):
        count += len(text.split()) + text.count("\n") - (inside and not text[0].isspace())
        inside = not text[-1].isspace()
    return count
