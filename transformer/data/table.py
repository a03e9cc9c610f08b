"""Sources with columns: CSV, TSV and Parquet files, parallel texts, and the Hugging Face hub."""

from __future__ import annotations

import csv
import itertools
import pathlib
import sys
from collections.abc import Iterator
from typing import ClassVar

from transformer.data import fingerprint, lines
from transformer.data.reading import FileSource, Source, twice
from transformer.error import UserError
from transformer.spec import to_json

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


class Table(FileSource):
    """CSV or TSV: a record per row, its values all texts, named by the header row or by `fields`.

    Quotes are read as in RFC 4180, except in tab-separated files, where they are ordinary letters;
    `quotes` says otherwise. `delimiter=None` follows the suffix.
    """

    field: str = "text"
    delimiter: str | None = None
    fields: tuple[str, ...] = ()  # names for the columns; () takes the header's
    header: bool = True  # whether the first row is a header
    quotes: bool | None = None
    suffixes: ClassVar[tuple[str, ...]] = tuple(DELIMITERS)

    def check(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UserError(f"Table.delimiter is {self.delimiter!r}, but it must be one character")
        if not self.header and not self.fields:
            raise UserError("a Table without a header needs fields=(names of the columns)")
        if name := twice(self.fields):
            raise UserError(f"Table.fields names {name!r} twice, but columns need different names")

    def read(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[dict]:
        rows = self._rows(file, bad)
        names = self.fields
        if self.header:
            skipped = bad.count
            number, row = next(rows, (1, []))
            if bad.count > skipped:  # what follows may be data
                raise UserError(f"{bad.last}; repair it, the header is never skipped")
            names = names or tuple(row)
            if len(set(names)) < len(names) or len(row) != len(names):
                raise UserError(f"{file}:{number}: the header has {len(row)} columns ({row!r:.60}),"
                                f" the names used are {', '.join(names)}; set header or fields")
        for number, row in rows:
            if len(row) == len(names):
                yield {**dict(zip(names, row)), "where": f"{file}:{number}"}
            else:
                bad.report(f"{file}:{number}: {len(row)} columns instead of {len(names)} "
                           f"({', '.join(names)})")

    def _rows(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[tuple[int, list[str]]]:
        delimiter = self.delimiter or DELIMITERS.get(lines.suffix(file))
        if delimiter is None:
            raise UserError(f"{file}: the suffix does not tell the delimiter; set Table.delimiter")
        numbered = lines.lines(file, self.line_limit, bad)
        if self.quotes if self.quotes is not None else delimiter != "\t":
            return _quoted(file, numbered, delimiter, self.line_limit, bad)
        return ((n, line.removesuffix("\n").split(delimiter)) for n, line in numbered
                if line != "\n")


def _quoted(file, numbered, delimiter, limit, bad) -> Iterator[tuple[int, list[str]]]:
    number = 0  # of the last line read: a quoted value may span several

    def feed():
        nonlocal number
        for number, line in numbered:
            yield line

    csv.field_size_limit(min(limit, sys.maxsize))
    rows = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        first = number + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            bad.report(f"{file}:{first}: broken quotes in the row that begins here ({error})")
            continue
        if row:
            yield first, row


class Parquet(FileSource):
    """Parquet files, read in small batches of rows. Needs `pyarrow`."""

    field: str = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def read(self, file: pathlib.Path, bad: lines.BadLines) -> Iterator[dict]:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UserError("reading Parquet needs pyarrow: pip install pyarrow") from None
        try:
            with pyarrow.parquet.ParquetFile(file) as table:
                if name := twice(table.schema_arrow.names):
                    raise UserError(f"{file}: two columns are called {name!r}; rename one")
                batches = table.iter_batches(batch_size=256)
                rows = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
                for number, row in enumerate(rows, 1):
                    yield {**row, "where": f"{file}: row {number}"}
        except (pyarrow.ArrowException, OSError, ValueError) as error:  # ValueError: broken text
            message = str(error).partition("\n")[0]
            raise UserError(f"{file}: not a readable Parquet file ({message}); "
                            "write it again") from None


class Parallel(Source):
    """Two text files whose lines belong together: records {"source", "target"}, for translation.

    As a corpus it is the lines of both sides, so that one tokenizer serves both.
    """

    source: str
    target: str
    line_limit: int = 16_000_000  # bytes

    def fingerprint(self) -> str:
        files = lines.files(self.source) + lines.files(self.target)
        return fingerprint.digest(["Parallel", fingerprint.of_files(files)])

    def records(self) -> Iterator[dict]:
        sides = [self._side(self.source), self._side(self.target)]
        for number, (a, b) in enumerate(itertools.zip_longest(*sides), 1):
            if a is None or b is None:
                short, long = (self.source, self.target)[::1 if a is None else -1]
                raise UserError(f"{short}: ends after {number - 1} lines, but {long} goes on")
            yield {"source": a, "target": b, "where": f"{self.source}:{number}"}

    def pieces(self) -> Iterator[tuple[str, bool]]:
        for record in self.records():
            yield from ((record[side], True) for side in ("source", "target") if record[side])

    def _side(self, path: str) -> Iterator[str]:
        bad = lines.BadLines("refuse", optional=False)
        for file in lines.files(path):
            for _, line in lines.lines(file, self.line_limit, bad):
                yield line.removesuffix("\n")


class Hub(Source):
    """A split of a data set on the Hugging Face hub. Needs `datasets` and a network.

    Only its names enter the fingerprint: give a `revision` where the data may change.
    """

    name: str
    field: str = "text"
    split: str = "train"
    config: str | None = None
    revision: str | None = None

    def fingerprint(self) -> str:
        return fingerprint.digest(to_json(self))

    def records(self) -> Iterator[dict]:
        try:
            import datasets
        except ImportError:
            raise UserError(f"to read {self.name} from the hub: pip install datasets") from None
        try:
            rows = datasets.load_dataset(self.name, self.config, split=self.split,
                                         revision=self.revision)
        except Exception as error:  # its own errors have no common base
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(f"cannot load {self.name} ({self.split}): {message}") from None
        for number, row in enumerate(rows, 1):
            yield {**row, "where": f"{self.name} {self.split}: row {number}"}
