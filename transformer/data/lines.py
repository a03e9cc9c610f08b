"""Lines of files in bounded memory: compressed or not, UTF-8 checked, each fault with its place."""

from __future__ import annotations

import glob
import gzip
import lzma
import os
import pathlib
import sys
import zlib
from collections.abc import Iterator

from transformer.error import UserError

BLOCK = 1 << 20  # bytes read at a time
BOM = b"\xef\xbb\xbf"
COMPRESSED = {".gz": gzip.open, ".xz": lzma.open}


class BadLines:
    """What happens to a line that cannot be used: "refuse" raises UserError, "skip" counts it.

    optional: whether whoever reads could ask for the other mode.
    """

    def __init__(self, mode: str, optional: bool = True):
        self.mode, self.count, self.first, self.last = mode, 0, "", ""
        self._hint = " (or pass over such lines: on_bad_line=skip)" if optional else ""

    def report(self, message: str) -> None:
        if self.mode == "refuse":
            raise UserError(message + self._hint)
        self.count += 1
        self.first, self.last = self.first or message, message

    def summary(self) -> None:
        if self.count:
            print(f"skipped {self.count} bad lines, the first: {self.first}", file=sys.stderr)


def suffix(file: pathlib.Path) -> str:
    """The suffix that tells the format: ".csv" for both a.csv and a.csv.gz."""
    inner = file.with_suffix("") if file.suffix in COMPRESSED else file
    return inner.suffix.lower()


def files(path: str, suffixes: tuple[str, ...] = ()) -> list[pathlib.Path]:
    """The files that `path` names, sorted: one file, all files of a folder, or those of a glob.

    In a folder, hidden files and (where `suffixes` are given) other suffixes are passed over.

    Raises:
      UserError: nothing is there, it may not be read, or the one file named is empty.
    """
    try:
        return _files(pathlib.Path(os.path.expanduser(path)), path, suffixes)
    except OSError as error:  # no access to a folder, or a name longer than names may be
        raise unreadable(error, path) from None


def _files(place: pathlib.Path, path: str, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    if place.is_file():
        if not place.stat().st_size:
            raise UserError(f"{path}: the file is empty")
        return [place]
    if place.is_dir():
        found = [f for f in _below(place) if not suffixes or suffix(f) in suffixes]
    else:
        matches = glob.glob(str(place), recursive=True) if glob.has_magic(path) else []
        found = map(pathlib.Path, matches)
    found = [file for file in found if file.is_file()]
    if not found:
        raise UserError(f"{path}: {_absence(place, path, suffixes)}")
    return sorted(found, key=lambda file: file.as_posix())


def unreadable(error: OSError, path: str) -> UserError:
    """The UserError of what the system does not let us read: the file it names, else `path`."""
    return UserError(f"{error.filename or path}: cannot be read ({error.strerror or error}); "
                     "check the name and who may read it")


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """What a folder holds that is not hidden; OSError for a folder that cannot be listed."""
    def refuse(error: OSError):
        raise error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (pathlib.Path(root, name) for name in names if not name.startswith("."))


def _absence(place: pathlib.Path, path: str, suffixes: tuple[str, ...]) -> str:
    if place.is_dir():
        return f"no file {'/'.join(suffixes)} in this folder" if suffixes else "an empty folder"
    return "no file matches" if glob.has_magic(path) else "no such file or folder"


def lines(file: pathlib.Path, limit: int, bad: BadLines) -> Iterator[tuple[int, str]]:
    """(line number from 1, line with its newline) for the lines of a UTF-8 file.

    CRLF becomes LF, a byte-order mark at the start is dropped, everything else (NUL, lone CR) is
    kept. A line of more than `limit` bytes or with invalid UTF-8 is reported to `bad`.
    """
    for number, line in _byte_lines(file, limit):
        if line is None or len(line) > limit + 1:
            bad.report(f"{file}:{number}: the line is longer than {limit:,} bytes; "
                       "break it up, or raise line_limit")
            continue
        if number == 1 and line.startswith(BOM):
            line = line[len(BOM):]
        if line.endswith(b"\r\n"):
            line = line[:-2] + b"\n"
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            bad.report(f"{file}:{number}:{error.start + 1}: byte 0x{line[error.start]:02x} "
                       "is not UTF-8; convert the file to UTF-8")


def _byte_lines(file: pathlib.Path, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """(number, line) with line ends kept; None as soon as a line has outgrown limit and block."""
    number, rest, lost = 1, b"", False  # lost: inside a line that was given up
    for block in _blocks(file):
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            for line in (rest + head).split(b"\n"):
                if not lost:
                    yield number, line + b"\n"
                number, lost = number + 1, False
            rest = tail
        elif not lost:
            rest += block
        if len(rest) > limit + BLOCK:
            yield number, None
            rest, lost = b"", True
    if rest:
        yield number, rest


def _blocks(file: pathlib.Path) -> Iterator[bytes]:
    try:
        with COMPRESSED.get(file.suffix, open)(file, "rb") as stream:
            while block := stream.read(BLOCK):
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{file}: a damaged {file.suffix} file ({error})") from None
    except OSError as error:
        raise unreadable(error, str(file)) from None
