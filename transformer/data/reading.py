"""What every source shares: records and pieces of text, streamed and never held in memory."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from transformer.data import fingerprint, lines
from transformer.error import UserError
from transformer.spec import Count, Spec, to_json

PIECE = 1 << 20  # characters; a longer document is handed on in pieces


class Source(Spec):
    """Base of all sources; a subclass gives `records` and `fingerprint`."""

    field: ClassVar[str] = "text"  # of a record, its text; a field of the spec where it varies

    def records(self) -> Iterator[dict]:
        """Dicts of the record's fields, with "where" added.

        Raises:
          UserError: nothing to read, or (with FILE:LINE) a record that cannot be read.
        """
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Hex sha256 that changes whenever the records may have changed."""
        raise NotImplementedError

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """(text, whether a document ends with it); empty documents are passed over."""
        for record in self.records():
            yield from cut(_text(record, self.field))

    def size(self) -> int | None:
        """About how many bytes of text there are; None where that is not known beforehand."""
        return None

    def texts(self) -> Iterator[str]:
        """The texts of `pieces`: documents, the very long ones cut."""
        return (text for text, _ in self.pieces())


def cut(text: str, last: bool = True) -> Iterator[tuple[str, bool]]:
    """`text` in pieces of at most `PIECE` characters, cut after a line or a word where possible."""
    start = 0
    while len(text) - start > PIECE:
        middle, stop = start + PIECE // 2, start + PIECE
        after = text.rfind("\n", middle, stop) + 1 or text.rfind(" ", middle, stop)
        after = after if after > start else stop
        yield text[start:after], False
        start = after
    if start < len(text):
        yield text[start:], last


def twice(names: Iterable[str]) -> str | None:
    """The first name that was there before; None if all differ."""
    seen = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def _text(record: dict, field: str) -> str:
    if field not in record:
        names = ", ".join(name for name in record if name != "where")
        raise UserError(f"{record['where']}: no field {field!r}; its fields are: {names}")
    if not isinstance(record[field], str):
        raise UserError(f"{record['where']}: field {field!r} is not a text: {record[field]!r:.40}")
    return record[field]


class FileSource(Source):
    """Base of the sources that read files: one file, a folder, or a glob; .gz and .xz as well."""

    path: str
    on_bad_line: Literal["refuse", "skip"] = "refuse"
    line_limit: Count = 16_000_000  # bytes
    suffixes: ClassVar[tuple[str, ...]] = ()  # of the files taken from a folder; (): all

    def files(self) -> list[pathlib.Path]:
        return lines.files(self.path, self.suffixes)

    def fingerprint(self) -> str:
        fields = {k: v for k, v in to_json(self).items() if k != "path"}
        return fingerprint.digest([fields, fingerprint.of_files(self.files())])

    def records(self) -> Iterator[dict]:
        return self._all(self.read)

    def pieces(self) -> Iterator[tuple[str, bool]]:
        return self._all(self.read_pieces)

    def read(self, file: pathlib.Path, bad: lines.BadLines) -> Iterable[dict]:
        raise NotImplementedError

    def read_pieces(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[tuple[str, bool]]:
        for record in self.read(file, bad):
            try:
                text = _text(record, self.field)
            except UserError as error:
                bad.report(str(error))
                continue
            yield from cut(text)

    def _all(self, read) -> Iterator:
        bad, empty = lines.BadLines(self.on_bad_line), True
        for file in self.files():
            for item in read(file, bad):
                empty = False
                yield item
        bad.summary()
        if empty:
            raise UserError(f"{self.path}: there is nothing in it but blank or skipped lines")
