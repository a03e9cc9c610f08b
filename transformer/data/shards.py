"""The files of an encoded corpus on disk, and the checks that they are what was written.

DIR/tokens.bin   the ids of all documents, one after the other, each ended by eos if there is one
DIR/ends.bin     int64 [documents]: where each ends, in tokens
DIR/sizes.bin    int64 [documents]: UTF-8 bytes of text up to each end
DIR/meta.json    counts, dtype, fingerprints, and a checksum for every shard of the three

A shard is a range of the three files: what was safely on disk when its line was written.
"""

from __future__ import annotations

import json
import pathlib
import zlib

import numpy as np

from transformer.error import UserError

FORMAT = 1
FILES = {"tokens": "tokens.bin", "ends": "ends.bin", "sizes": "sizes.bin"}
CHECKED = 64 << 20  # bytes; shards up to this size are summed when they are first read


def token_type(vocabulary: int) -> np.dtype:
    """uint16 where every id of the vocabulary fits, else uint32; little-endian on every machine."""
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def extent(file: str, shards: list[dict], token_bytes: int) -> int:
    """Bytes that some shards take in one of `FILES`."""
    if file == "tokens":
        return token_bytes * sum(shard["tokens"] for shard in shards)
    return 8 * sum(shard["documents"] for shard in shards)


def shard_sum(directory: pathlib.Path, shards: list[dict], number: int, token_bytes: int) -> int:
    """CRC-32 of one shard's tokens, ends and sizes as they are on disk, read in small blocks."""
    total = 0
    for file, name in FILES.items():
        left = extent(file, shards[number:number + 1], token_bytes)
        with (directory / name).open("rb") as stream:
            stream.seek(extent(file, shards[:number], token_bytes))
            while left and (block := stream.read(min(left, 1 << 20))):
                total, left = zlib.crc32(block, total), left - len(block)
    return total


def check_shard(directory: pathlib.Path, meta: dict, number: int) -> None:
    """Raises UserError if the bytes of a shard are not those that were written."""
    token_bytes = np.dtype(meta["dtype"]).itemsize
    if shard_sum(directory, meta["shards"], number, token_bytes) != meta["shards"][number]["crc32"]:
        raise broken(directory, f"the bytes of shard {number} were changed")


def check_if_small(directory: pathlib.Path, meta: dict, number: int) -> None:
    """`check_shard` of a shard that is read in no time, as all are that this program writes."""
    shard, token_bytes = meta["shards"][number:number + 1], np.dtype(meta["dtype"]).itemsize
    if sum(extent(file, shard, token_bytes) for file in FILES) <= CHECKED:
        check_shard(directory, meta, number)


def check_all(directory: pathlib.Path, meta: dict, tokenizer) -> None:
    """Sizes, owner, dtype, range of the ids, and the bytes of the first and the last shard.

    Raises:
      UserError: what does not fit, with both sizes or names.
    """
    _check_owner(directory, meta, tokenizer)
    token_bytes = np.dtype(meta["dtype"]).itemsize
    for file, name in FILES.items():
        path, expected = directory / name, extent(file, meta["shards"], token_bytes)
        found = path.stat().st_size if path.is_file() else 0
        if found != expected:
            raise broken(directory, f"{name} has {found:,} bytes instead of {expected:,}")
    for number in sorted({0, len(meta["shards"]) - 1}):
        check_if_small(directory, meta, number)


def _check_owner(directory: pathlib.Path, meta: dict, tokenizer) -> None:
    if meta["tokenizer"] != tokenizer.fingerprint or meta["vocabulary"] != tokenizer.size:
        raise UserError(
            f"{directory} was encoded by another tokenizer ({meta['tokenizer'][:12]}, "
            f"{meta['vocabulary']} ids) than this one ({tokenizer.fingerprint[:12]}, "
            f"{tokenizer.size} ids); encode the data again")
    if meta["dtype"] != token_type(tokenizer.size).str:
        raise broken(directory, f"its ids are {meta['dtype']}, for {tokenizer.size} ids")
    for number, shard in enumerate(meta["shards"]):
        if shard["minimum"] < 0 or shard["maximum"] >= tokenizer.size:
            raise broken(directory, f"shard {number} has ids from {shard['minimum']} to "
                         f"{shard['maximum']}, but the vocabulary has {tokenizer.size}")


def read_meta(directory: pathlib.Path) -> dict:
    """The contents of meta.json; UserError where it is missing, damaged or of another format."""
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
        shards = meta["shards"]
        sums = {k: sum(s[k] for s in shards) for k in ("tokens", "documents", "bytes")}
        if meta["format"] == FORMAT and (not shards or any(meta[k] != sums[k] for k in sums)):
            raise ValueError("its shards do not add up")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken(directory, f"meta.json is missing or damaged ({error})") from None
    if meta["format"] != FORMAT:
        raise broken(directory, f"it has format {meta['format']}, this program reads {FORMAT}")
    return meta


def broken(directory: pathlib.Path, message: str) -> UserError:
    """The UserError of a damaged corpus, with what to do about it."""
    return UserError(f"{directory}: {message}; delete this directory and encode the data again")
