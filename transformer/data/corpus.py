"""An encoded corpus: token ids of many documents in one memory-mapped file, and views of it."""

from __future__ import annotations

import bisect
import copy
import functools
import itertools
import pathlib

import numpy as np

from transformer.data import shards
from transformer.data.decode import blocks, words
from transformer.data.fingerprint import digest
from transformer.error import UserError
from transformer.spec import Spec


class Holdout(Spec):
    """Keeps the last fraction of the training data for validation."""

    fraction: float = 0.1

    def check(self) -> None:
        if not 0 < self.fraction < 1:
            raise UserError(f"Holdout.fraction is {self.fraction}, but it must be between 0 and 1")

    def cut(self, count: int) -> int:
        """How many of `count` things (tokens, records) stay in training.

        Raises:
          UserError: one side would have none.
        """
        cut = int(count * (1 - self.fraction))
        if not 0 < cut < count:
            raise UserError(f"holding out {self.fraction} of {count:,} leaves one side empty; "
                            "give more data or another fraction")
        return cut


class Corpus:
    """A range of the tokens of an encoded corpus, with the documents in it. Nothing is copied.

    Attributes:
      tokens: [all tokens of the corpus] ids, memory-mapped. Rows address them absolutely, through
        `read`.
      ends: int64 [all documents], the token after the last of each.
      start, stop: the range of tokens that this view has; a document cut by it keeps its piece.
    """

    def __init__(self, directory: pathlib.Path, meta: dict, tokenizer):
        self.directory, self.meta, self.tokenizer = directory, meta, tokenizer
        self.tokens = _map(directory / shards.FILES["tokens"], np.dtype(meta["dtype"]))
        self.ends = _map(directory / shards.FILES["ends"], np.dtype("<i8"))
        self._sizes = _map(directory / shards.FILES["sizes"], np.dtype("<i8"))
        self.start, self.stop = 0, len(self.tokens)
        self._shards = list(itertools.accumulate(shard["tokens"] for shard in meta["shards"]))
        self._sound = set()  # shards that had their checksum when they were first read

    def __len__(self) -> int:
        return self.stop - self.start

    def view(self, start: int, stop: int) -> Corpus:
        """The tokens from `start` to before `stop`, both counted from this view's first."""
        if not 0 <= start < stop <= len(self):
            raise UserError(f"tokens {start} to {stop} are not a range of {len(self):,} tokens")
        view = copy.copy(self)
        view.start, view.stop = self.start + start, self.start + stop
        view.__dict__.pop("bytes", None)
        return view

    def read(self, start: int, stop: int) -> np.ndarray:
        """`tokens[start:stop]`, the shards they lie in checked when they are first read.

        Raises:
          UserError: names the shard that was changed.
        """
        first = bisect.bisect_right(self._shards, start)
        for number in range(first, bisect.bisect_left(self._shards, stop) + 1):
            if number not in self._sound:
                shards.check_if_small(self.directory, self.meta, number)
                self._sound.add(number)
        return self.tokens[start:stop]

    def split(self, holdout: Holdout) -> tuple[Corpus, Corpus]:
        """(training, validation): the validation part is the last fraction of the tokens."""
        cut = holdout.cut(len(self))
        return self.view(0, cut), self.view(cut, len(self))

    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends), int64 [documents in view]: each document's tokens inside the view."""
        first, last = self._documents()
        ends = np.minimum(self.ends[first:last + 1], self.stop)
        return np.concatenate([[self.start], ends[:-1]]), ends

    @functools.cached_property
    def bytes(self) -> int:
        """UTF-8 bytes of the text in view, for bits per byte; a cut document's piece is decoded."""
        first, last = self._documents()
        total = int(self._sizes[last]) - (int(self._sizes[first - 1]) if first else 0)
        begin = int(self.ends[first - 1]) if first else 0
        total -= self._decoded(begin, self.start) + self._decoded(self.stop, int(self.ends[last]))
        return total

    def words(self) -> int:
        """Words of the text in view, as str.split finds them, and its ends of lines."""
        return sum(words(blocks(self._text, start, end)) for start, end in zip(*self.spans()))

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of what the tokens are, wherever they lie."""
        sums = [shard["crc32"] for shard in self.meta["shards"]]
        return digest([shards.FORMAT, sums, self.meta["tokenizer"], self.start, self.stop])

    def verify(self) -> None:
        """Reads everything and compares it with its checksums.

        Raises:
          UserError: names the shard that was changed.
        """
        for number in range(len(self.meta["shards"])):
            shards.check_shard(self.directory, self.meta, number)

    def _documents(self) -> tuple[int, int]:
        held = np.searchsorted(self.ends, [self.start, self.stop - 1], "right")
        return int(held[0]), int(held[1])

    def _decoded(self, start: int, stop: int) -> int:
        return sum(len(text.encode()) for text in blocks(self._text, start, stop))

    def _text(self, start: int, stop: int) -> str:
        return self.tokenizer.decode(self.read(start, stop).tolist())


def open_corpus(directory: pathlib.Path, tokenizer) -> Corpus:
    """Opens an encoded corpus, after checking that it is whole and belongs to this tokenizer.

    Raises:
      UserError: what does not fit, with both sizes or names.
    """
    meta = shards.read_meta(directory)
    shards.check_all(directory, meta, tokenizer)
    corpus = Corpus(directory, meta, tokenizer)
    if not len(corpus.ends) or corpus.ends[-1] != meta["tokens"]:
        raise shards.broken(directory, f"its documents do not end at token {meta['tokens']:,}")
    return corpus


def _map(path: pathlib.Path, dtype: np.dtype) -> np.ndarray:
    if not path.stat().st_size:
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))  # a plain array slices faster
