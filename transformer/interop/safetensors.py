"""The safetensors format, read and written one tensor at a time.

A file is the length of its header (8 bytes, little endian), a JSON header {name: {dtype, shape,
data_offsets}}, and the data. Nothing in it is believed before it is checked against the file: the
header may come from anyone. The published reader accepts names that occur twice and names with
control characters; this one does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from transformer.error import UserError

# What parameters may be, in the order of a file.
DTYPES = {"F32": np.dtype(np.float32), "BF16": np.dtype(ml_dtypes.bfloat16),
          "F16": np.dtype(np.float16)}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16,
        "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64}
HEADER = 100_000_000  # bytes at most, as the format says
META = "__metadata__"
ALIGNED = 64  # bytes
DIMENSIONS, BYTES = 64, 2**63  # what arrays may have, and what they are smaller than


class Entry(NamedTuple):
    """A tensor in a file: its type as the format spells it, its shape, its bytes [start, stop)."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class File:
    """The tensors of one file. `entries`: {name: Entry}. Opening reads the header alone.

    Raises:
      UserError: not a safetensors file, or one that contradicts itself.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        with open(self.path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            first = file.read(8)
            length = int.from_bytes(first, "little")
            if len(first) < 8 or length > min(size - 8, HEADER):
                raise self._wrong(f"its header is said to have {length:,} bytes, the file has "
                                  f"{size:,}")
            header = self._header(file.read(length))
        self._base = 8 + length
        self.entries = {name: self._entry(name, about) for name, about in header.items()}
        self._require_whole(size - self._base)

    def read(self, name: str) -> np.ndarray:
        """One tensor, as a new array. UserError if its type is none of DTYPES."""
        dtype, shape, start, stop = self.entries[name]
        if dtype not in DTYPES:
            raise self._wrong(f"{name} is {dtype}, but parameters are {', '.join(DTYPES)}")
        made = empty(shape, DTYPES[dtype])
        with open(self.path, "rb") as file:
            file.seek(self._base + start)
            if file.readinto(made.reshape(-1).view(np.uint8)) < stop - start:
                raise self._wrong(f"it ends within {name}")
        return made

    def _wrong(self, what: str) -> UserError:
        return UserError(f"{self.path}: no safetensors file that can be trusted: {what}")

    def _header(self, text: bytes) -> dict:
        try:
            header = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"its header cannot be read ({error})") from None
        if not isinstance(header, dict):
            raise self._wrong("its header is no JSON object")
        header.pop(META, None)
        return header

    def _entry(self, name: str, about) -> Entry:
        if not name or not name.isprintable():
            raise self._wrong(f"a tensor is called {name!r}")
        try:
            dtype, shape, (start, stop) = about["dtype"], about["shape"], about["data_offsets"]
            whole = all(type(n) is int and 0 <= n < 2**63 for n in (*shape, start, stop))
            bits = BITS[dtype]
        except (TypeError, KeyError, ValueError):
            raise self._wrong(f"it says {about!r:.80} of {name}") from None
        if (not whole or _too_large(shape) or start > stop
                or math.prod(shape) * bits != (stop - start) * 8):
            raise self._wrong(f"{name} is {dtype} {str(shape):.80} but has the bytes {start} to "
                              f"{stop}")
        return Entry(dtype, tuple(shape), start, stop)

    def _require_whole(self, size: int) -> None:
        """The tensors follow each other without holes or overlaps and fill the data."""
        end = 0
        for name, entry in sorted(self.entries.items(), key=lambda item: item[1][2:]):
            if entry.start != end:
                raise self._wrong(f"{name} begins at byte {entry.start} where {end} is next")
            end = entry.stop
        if end != size:
            raise self._wrong(f"its tensors have {end:,} bytes, its data {size:,}")


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new array that begins where a CPU's JAX takes it as it lies; elsewhere it would copy."""
    size = math.prod(shape) * dtype.itemsize
    data = np.empty(size + ALIGNED, np.uint8)
    start = -data.ctypes.data % ALIGNED
    return data[start:start + size].view(dtype).reshape(shape)


def _too_large(shape: list[int]) -> bool:
    """Whether no array has this shape, empty or not."""
    return len(shape) > DIMENSIONS or math.prod(n or 1 for n in shape) * 8 >= BYTES


def _once(pairs: list) -> dict:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = [name for name, _ in pairs]
        raise ValueError(f"{max(seen, key=seen.count)!r} is there twice")
    return made


def nbytes(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """The size of a tensor in bytes."""
    return math.prod(shape) * dtype.itemsize


def write(path: Path, about: dict[str, tuple[np.dtype, tuple[int, ...]]],
          tensors: Iterable[np.ndarray]) -> None:
    """Writes a file.

    Args:
      about: {name: (dtype, shape)} of the tensors, in the order in which they come.
      tensors: made one at a time, as they are written.

    Raises:
      ValueError: a tensor is not what `about` says.
    """
    header, end = {META: {"format": "pt"}}, 0  # transformers refuses files without that word
    for name, (dtype, shape) in about.items():
        start, end = end, end + nbytes(dtype, shape)
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for (name, expected), tensor in zip(about.items(), tensors, strict=True):
            if (tensor.dtype, tensor.shape) != expected:
                raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {expected}")
            file.write(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8))


def ordered(about: dict) -> Iterator[str]:
    """Names of `{name: (dtype, shape)}` as files list them: wide types first, so all is aligned."""
    kinds = list(DTYPES.values())
    yield from sorted(about, key=lambda name: (kinds.index(about[name][0]), name))
