"""How one or two texts become a row, with special pieces around them: GPT-1's and BERT's way."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from transformer.error import UserError
from transformer.objectives.objective import special
from transformer.spec import Spec


class Arranged(NamedTuple):
    """A row, and the place of each part in its tokens (what was left of it)."""

    example: dict[str, np.ndarray]
    places: tuple[slice, ...]


class Layout(Spec):
    """Base of the layouts: [opening] first [between] second [closing].

    orders: rows that an unordered pair takes; see `tasks.similarity`.
    """

    opening: ClassVar[str]
    between: ClassVar[str]
    closing: ClassVar[str]
    orders: ClassVar[int] = 1

    def arrange(self, parts: list[list[int]], tokenizer, length: int, where: str) -> Arranged:
        """One row of at most `length` tokens; the longer part loses its end first.

        Raises:
          UserError: `length` leaves no room for a token of each part.
        """
        parts = truncated(parts, length - len(parts) - 1, where)
        tokens, places = [special(tokenizer, self.opening)], []
        for n, part in enumerate(parts):
            tokens += [special(tokenizer, self.between)] if n else []
            places.append(slice(len(tokens), len(tokens) + len(part)))
            tokens += part
        tokens.append(special(tokenizer, self.closing))
        extra = self.extra(len(tokens), places)
        return Arranged({"tokens": np.array(tokens, np.int32), **extra}, tuple(places))

    def extra(self, count: int, places: list[slice]) -> dict[str, np.ndarray]:
        """What the row has besides tokens."""
        raise NotImplementedError


class Generative(Layout):
    """[start] first [delimiter] second [extract], read at the extract token (Radford 2018 §3.3).

    For models that read leftwards: the last token is the first to have seen everything.
    """

    opening: ClassVar[str] = "start"
    between: ClassVar[str] = "delimiter"
    closing: ClassVar[str] = "extract"
    orders: ClassVar[int] = 2

    def extra(self, count, places):
        return {"pooled": np.int32(count - 1)}


class Ended(Generative):
    """[bos] first [eos] second [eos], read at the last: for tokenizers without pieces for tasks,
    as of published decoders. (GPT-2's bos and eos are one piece.)
    """

    opening: ClassVar[str] = "bos"
    between: ClassVar[str] = "eos"
    closing: ClassVar[str] = "eos"


class Encoding(Layout):
    """[cls] first [sep] second [sep], types 0 and 1, read at position 0 (Devlin 2019 §3)."""

    opening: ClassVar[str] = "cls"
    between: ClassVar[str] = "sep"
    closing: ClassVar[str] = "sep"

    def extra(self, count, places):
        types = np.zeros(count, np.int32)
        types[places[1].start if len(places) > 1 else count:] = 1
        return {"types": types, "pooled": np.int32(0)}


def truncated(parts: list[list[int]], room: int, where: str) -> list[list[int]]:
    """The parts cut at their ends to `room` tokens, the longest first (the last of equals)."""
    if room < len(parts):
        raise UserError(f"{where}: rows are too short for {len(parts)} texts and the special "
                        "pieces around them; raise the rows' length")
    keep = [len(part) for part in parts]
    while sum(keep) > room:
        longest = max(range(len(keep)), key=lambda n: (keep[n], n))
        keep[longest] -= 1
    return [part[:count] for part, count in zip(parts, keep)]
