"""Lines of a file as batches of few shapes, for the verbs that read one with an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transformer.data import lines
from transformer.data.reading import FileSource
from transformer.error import UserError

ROWS = 32  # of a batch


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends; as in `data`, only LF and CRLF are ends.

    Raises:
      UserError: there is no such file, nothing in it, or (with FILE:LINE) it is no text.
    """
    bad = lines.BadLines("refuse", optional=False)
    texts = [line.removesuffix("\n") for _, line in lines.lines(path, FileSource.line_limit, bad)]
    if not texts:
        raise UserError(f"{path} is empty; give one text on each line")
    return texts


def batches(rows: list[list[int]], limit: int | None) -> Iterator[tuple[int, dict]]:
    """(number of real rows, {tokens, segments} [ROWS, T]) with T a power of two.

    Raises:
      UserError: a row is longer than `limit`, the model's positions.
    """
    for first in range(0, len(rows), ROWS):
        part = rows[first:first + ROWS]
        longest = max(map(len, part))
        if limit is not None and longest > limit:
            number = first + max(range(len(part)), key=lambda n: len(part[n])) + 1
            raise UserError(f"line {number} has {longest} tokens, but the model has positions for "
                            f"{limit}; shorten it")
        width = min(1 << max(longest - 1, 7).bit_length(), limit or 1 << 30)
        tokens = np.zeros((ROWS, width), np.int32)
        segments = np.zeros((ROWS, width), np.int32)
        for n, row in enumerate(part):
            tokens[n, :len(row)], segments[n, :len(row)] = row, 1
        yield len(part), {"tokens": tokens, "segments": segments}
