"""Encodes a source once: streamed in batches, in shards that survive a kill, named when whole."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from transformer.data import shards
from transformer.data.corpus import Corpus, open_corpus
from transformer.data.fingerprint import digest
from transformer.data.place import cache_root, exclusive, sync
from transformer.data.progress import Progress
from transformer.data.reading import Source
from transformer.data.writer import Writer
from transformer.error import UserError
from transformer.spec import to_json

BATCH = 1 << 20  # characters given to the tokenizer at once
AHEAD = 2  # batches in the tokenizer at the same time: one fills its threads while one is unpacked


def encode(source: Source, tokenizer, cache: str | os.PathLike | None = None) -> Corpus:
    """The corpus of a source under a tokenizer, encoded now or taken from the cache.

    Memory stays bounded however large the source is. A second process that wants the same corpus
    waits for the first; an interrupted encoding continues at its last finished shard.

    Args:
      cache: directory; by default $TRANSFORMER_CACHE, else $XDG_CACHE_HOME/transformer, else
        ~/.cache/transformer.
    Raises:
      UserError: the source cannot be read, the cache cannot be written, or a cached corpus is
        damaged.
    """
    made_from = [shards.FORMAT, source.fingerprint(), tokenizer.fingerprint]
    directory = cache_root(cache) / "corpora" / digest(made_from)[:32]
    if not directory.exists():
        try:
            with exclusive(directory):
                if not directory.exists():
                    _build(source, tokenizer, directory)
        except OSError as error:
            raise UserError(f"cannot write the cache {directory.parent}: {error.strerror or error};"
                            " set TRANSFORMER_CACHE to a directory with room") from None
    return open_corpus(directory, tokenizer)


def _build(source: Source, tokenizer, directory: pathlib.Path) -> None:
    unfinished = directory.with_name(directory.name + ".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    writer, data = Writer(unfinished, tokenizer), source.fingerprint()
    progress = Progress("encoding", writer.totals(), source.size())
    for batch in _encoded(_batches(source.pieces(), skip=writer.pieces), tokenizer):
        writer.add(*batch)
        progress.show(writer.totals())
    if source.fingerprint() != data:
        raise UserError(f"the data changed while it was read; delete {unfinished} and start again")
    meta = writer.finish() | {"source": data, "data": to_json(source)}
    with (unfinished / "meta.json").open("w", encoding="utf-8") as stream:
        json.dump(meta, stream, indent=1)
        sync(stream)
    (unfinished / "shards.jsonl").unlink()
    unfinished.rename(directory)
    sync(directory.parent)
    progress.end(writer.totals(), f"in {directory}")


def _batches(pieces: Iterable[tuple[str, bool]], skip: int) -> Iterator[list[tuple[str, bool]]]:
    batch, size = [], 0
    for number, piece in enumerate(pieces):
        if number < skip:
            continue
        batch.append(piece)
        size += len(piece[0]) + 1
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encoded(batches: Iterator[list[tuple[str, bool]]], tokenizer) -> Iterator[tuple]:
    with concurrent.futures.ThreadPoolExecutor(AHEAD) as pool:
        waiting = collections.deque()
        for batch in batches:
            waiting.append(pool.submit(_encode, batch, tokenizer))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encode(batch: list[tuple[str, bool]], tokenizer) -> tuple[np.ndarray, ...]:
    """(ids, tokens per piece, bytes per piece, whether a document ends with the piece)."""
    texts, last = zip(*batch)
    eos = [tokenizer.special["eos"]] if "eos" in tokenizer.special else []
    ended = [part for ids, ends in zip(tokenizer.encode_batch(texts), last)
             for part in (ids, eos if ends else [])]
    counts = np.array([len(part) for part in ended], np.int64).reshape(-1, 2).sum(1)
    flat = np.fromiter(itertools.chain.from_iterable(ended), np.int64, int(counts.sum()))
    sizes = [len(text) if text.isascii() else len(text.encode()) for text in texts]
    return flat, counts, np.array(sizes, np.int64), np.array(last)
