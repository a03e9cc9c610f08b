"""What rows are made of: the documents of a corpus, or a list of examples, behind one face.

Both have a length, `[n]` (an unpadded example of numpy arrays), `sizes` int64 [items, 2] (tokens
and source tokens of each), `aligned` (names of the arrays with one entry per token), `fingerprint`,
`tokenizer`, `directory` (where plans may be kept) and `name(n)` for messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from transformer.data.corpus import Corpus
from transformer.data.fingerprint import digest
from transformer.data.rowset import Example
from transformer.error import UserError

CUT = 2  # how documents with an opening are cut; another way needs another number


def side(name: str) -> int:
    """1 for an array of the source side, else 0: the column of `sizes` that it belongs to."""
    return int(name.startswith("source_"))


def items_of(data: Corpus | Sequence[Mapping], tokenizer, cut: tuple[int, int] | None = None,
             opening: str | None = None, closing: str | None = None):
    """The items of a corpus or of a sequence of examples.

    Args:
      cut: (length, lookahead): documents longer than their sum are cut into pieces.
      opening, closing: special pieces around every document, or every piece of a cut one; eos,
        which documents of a corpus end with, is not put twice.

    Raises:
      UserError: an opening for examples, which have theirs from the task's layout.
    """
    if isinstance(data, Corpus):
        return Documents(data, cut, opening, closing)
    if opening:
        raise UserError(f"opening={opening!r} is for documents; the rows of labelled examples "
                        "begin as the task's layout says")
    return Examples(data, tokenizer)


class Documents:
    """The documents of a corpus, whole or cut into pieces.

    Pieces overlap by the lookahead, so that the first token of a piece is predicted by the piece
    before. With an opening, it is the opening that predicts it, and pieces share nothing.
    """

    aligned = frozenset()
    largest_spans = 0

    def __init__(self, corpus: Corpus, cut: tuple[int, int] | None, opening: str | None = None,
                 closing: str | None = None):
        starts, ends = corpus.spans()
        self._opening = np.array(_special(corpus.tokenizer, opening), np.int32)
        ended = _special(corpus.tokenizer, "eos") if "eos" in corpus.tokenizer.special else []
        closing = _special(corpus.tokenizer, closing)
        self._closing = np.array([] if closing == ended else closing, np.int32)
        around = len(self._opening) + len(self._closing)
        self.fingerprint = corpus.fingerprint
        if cut and opening:
            cut, self.fingerprint = (sum(cut) - around, 0), digest([corpus.fingerprint, CUT])
        elif cut:
            cut = (cut[0] - around, cut[1])
        self._corpus, self._starts, self._ends = corpus, *_cut(starts, ends, cut)
        lengths = self._ends - self._starts + around
        self.sizes = np.stack([lengths, np.zeros_like(lengths)], 1)
        self.tokenizer, self.directory = corpus.tokenizer, corpus.directory

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, n: int) -> Example:
        tokens = self._corpus.read(self._starts[n], self._ends[n])
        return {"tokens": np.concatenate([self._opening, tokens.astype(np.int32), self._closing])}

    def name(self, n: int) -> str:
        return f"document {n}"


def _special(tokenizer, name: str | None) -> list[int]:
    if name is None:
        return []
    if name not in tokenizer.special:
        raise UserError(f"the tokenizer has no special piece {name!r}; it has "
                        f"{', '.join(tokenizer.special)}")
    return [tokenizer.special[name]]


def _cut(starts: np.ndarray, ends: np.ndarray, cut) -> tuple[np.ndarray, np.ndarray]:
    if cut is None:
        return starts, ends
    length, overlap = cut
    counts = np.maximum(-(-(ends - starts - overlap) // length), 1)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = np.repeat(starts, counts) + within * length
    return begins, np.minimum(begins + length + overlap, np.repeat(ends, counts))


class Examples:
    """A sequence of example dicts, checked once: all have the same names and fitting shapes.

    Raises:
      UserError: names the first example that does not fit the others.
    """

    directory = None

    def __init__(self, examples: Sequence[Mapping], tokenizer):
        if not len(examples):
            raise UserError("there is no example to make rows from")
        self._examples, self.tokenizer = examples, tokenizer
        self.sizes = np.zeros((len(examples), 2), np.int64)
        self.largest_spans, shapes, unaligned = 0, {}, {"spans", "pooled"}
        seen = hashlib.sha256()
        for n in range(len(examples)):
            example = self[n]
            self.sizes[n] = [_last(example["tokens"]), _last(example.get("source_tokens"))]
            for name, array in sorted(example.items()):
                if not array.ndim or array.shape[-1] != self.sizes[n, side(name)]:
                    unaligned.add(name)
                seen.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
            self._check_names(n, example, shapes)
            self.largest_spans = max(self.largest_spans, len(example.get("spans", ())))
        self.aligned = frozenset(shapes) - unaligned
        self._check_shapes(shapes)
        self.fingerprint = digest([seen.hexdigest(), tokenizer.fingerprint if tokenizer else None])

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, n: int) -> Example:
        example = dict(self._examples[n])
        example.pop("where", None)
        return {name: _array(value) for name, value in example.items()}

    def name(self, n: int) -> str:
        return f"{self._examples[n].get('where') or ''} (example {n})".lstrip()

    def _check_names(self, n: int, example: Example, shapes: dict) -> None:
        for name, array in example.items():
            shapes.setdefault(name, {})[array.shape] = n
        if shapes.keys() != example.keys():
            odd = ", ".join(sorted(shapes.keys() ^ example.keys()))
            raise UserError(f"{self.name(n)}: it and the examples before it differ in having {odd}")

    def _check_shapes(self, shapes: dict[str, dict]) -> None:
        for name in shapes.keys() - self.aligned - {"spans"}:
            if len(shapes[name]) > 1:
                (a, _), (b, n) = list(shapes[name].items())[:2]
                raise UserError(f"{self.name(n)}: {name} has shape {b}, but elsewhere {a}")


def _last(array: np.ndarray | None) -> int:
    return 0 if array is None else array.shape[-1]


def _array(value) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
