"""Sources: where documents and labelled records come from; here plain text and JSON lines.

Every source gives `records()`, dicts of named fields plus "where" (FILE:LINE, for messages), and
`pieces()`, the same as plain text for training tokenizers and encoding corpora. Both stream: no
file is held in memory.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import ClassVar, Literal

from transformer.data import lines, reading
from transformer.data.reading import FileSource, Source, twice
from transformer.error import UserError

__all__ = ["FileSource", "Jsonl", "Source", "Text"]


def reader(path: str) -> type[FileSource]:
    """The source that a path's suffix asks for: Jsonl, Table, Parquet, else Text."""
    from transformer.data.table import Parquet, Table

    ending = lines.suffix(pathlib.Path(path))
    return next((kind for kind in (Jsonl, Table, Parquet) if ending in kind.suffixes), Text)


def table(path: str) -> FileSource:
    """The source of the records at `path`. UserError where the suffix does not tell which."""
    if (kind := reader(path)) is Text:
        raise UserError(f"{path}: the suffix does not tell what it is; use .csv, .tsv, .jsonl or "
                        ".parquet")
    return kind(path=path)


class Text(FileSource):
    """Plain text. Documents are runs of lines between blank lines, single lines, or whole files.

    A document keeps its inner newlines; the one that ends it is dropped, except of whole files.
    CRLF is read as LF. Blank lines are never documents. Records are {"text": document}.
    """

    documents: Literal["blank", "line", "file"] = "blank"

    def check(self) -> None:
        if (kind := reader(self.path)) is not Text:
            raise UserError(f"{self.path} is no plain text; read it as {kind.__name__}(path=...)")

    def size(self) -> int | None:
        files = self.files()
        plain = all(file.suffix not in lines.COMPRESSED for file in files)
        return sum(file.stat().st_size for file in files) if plain else None

    def read(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[dict]:
        number, held = 1, []
        for text, last in self.read_pieces(file, bad):
            held.append(text)
            if last:
                yield {"text": "".join(held), "where": f"{file}: document {number}"}
                number, held = number + 1, []

    def read_pieces(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[tuple[str, bool]]:
        held, size, begun = [], 0, False  # begun: a first piece of this document is out
        for _, line in lines.lines(file, self.line_limit, bad):
            if self.documents != "file" and line.isspace():
                yield from self._document(held, begun)
                held, size, begun = [], 0, False
                continue
            if held and self.documents == "line":
                yield from self._document(held, begun)
                held, size = [], 0
            if held and size + len(line) > reading.PIECE:
                yield from reading.cut("".join(held), last=False)
                held, size, begun = [], 0, True
            held.append(line)
            size += len(line)
        yield from self._document(held, begun)

    def _document(self, held: list[str], begun: bool) -> Iterator[tuple[str, bool]]:
        text = "".join(held)
        if begun or (text and not text.isspace()):
            yield from reading.cut(text if self.documents == "file" else text.removesuffix("\n"))


class Jsonl(FileSource):
    """One JSON object on each line. `field` is the one that holds the text of a document."""

    field: str = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json", ".ndjson")

    def read(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[dict]:
        for number, line in lines.lines(file, self.line_limit, bad):
            if line.isspace():
                continue
            where = f"{file}:{number}"
            try:
                record = json.loads(line, object_pairs_hook=_unambiguous)
                if "\\ud" in line or "\\uD" in line:  # half of a surrogate pair is no text
                    json.dumps(record, ensure_ascii=False).encode()
            except json.JSONDecodeError as error:
                bad.report(f"{where}:{error.pos + 1}: not JSON ({error.msg})")
            except (ValueError, RecursionError) as error:
                bad.report(f"{where}: not readable as JSON ({error})")
            else:
                if isinstance(record, dict):
                    yield {**record, "where": where}
                else:
                    kind = type(record).__name__
                    bad.report(f"{where}: a JSON object was expected, this is a {kind}")


def _unambiguous(pairs: list[tuple[str, object]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError(f"the key {twice(name for name, _ in pairs)!r} is there twice")
    return record
