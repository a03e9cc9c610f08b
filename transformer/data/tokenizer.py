"""What every tokenizer shares: text to ids and back, equality by content, and the stored form.

A tokenizer spec says how to obtain a tokenizer; the tokenizer itself is that spec and its content,
a few named files. Stored, it is a directory of those files beside `spec.json`, which also holds
the fingerprint that they must match.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from transformer.data.stored import read_file, read_object
from transformer.error import UserError
from transformer.spec import Spec, from_json, to_json

SPEC_FILE = "spec.json"
Span = tuple[int, int]  # characters, the end excluded


class TokenizerSpec(Spec):
    """Base of every tokenizer spec. `files` are the names of the files that its content holds."""

    files: ClassVar[tuple[str, ...]] = ()

    def train(self, documents: Iterable[str]) -> Tokenizer:
        """The tokenizer that these documents give. Kinds that learn nothing do not read them.

        Raises:
          UserError: the documents cannot support what the spec asks for.
        """
        raise NotImplementedError

    def open(self, content: dict[str, bytes]) -> Tokenizer:
        """The tokenizer with this content, which has exactly the entries `files`."""
        raise NotImplementedError

    def portable(self) -> TokenizerSpec:
        """This spec as it is stored: it names nothing outside the stored directory."""
        return self


class Tokenizer:
    """Text to token ids and back.

    Attributes:
      spec: the portable spec, which opens `content` again.
      content: name -> bytes of each stored file.
      size: V, the number of ids.
      special: name -> id of the special pieces that exist. No text is ever encoded to one of them,
        except that text which the vocabulary cannot express becomes `unk`.
    """

    def __init__(self, spec: TokenizerSpec, content: dict[str, bytes], size: int,
                 special: dict[str, int]):
        self.spec, self.content = spec.portable(), content
        self.size, self.special = size, special

    def encode(self, text: str) -> list[int]:
        """The ids of one text, without special pieces around it.

        Raises:
          UserError: `text` holds half of a surrogate pair, which no encoding of text can express.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of every text, on all cores where that is faster."""
        raise NotImplementedError

    def spans(self, text: str) -> tuple[list[int], list[Span]]:
        """`encode(text)` with the characters that each token stands for.

        A character that takes several tokens is the span of each of them.
        """
        raise NotImplementedError

    def piece(self, token: int) -> str:
        """How an id is written for people; not always what it decodes to."""
        raise NotImplementedError

    def word_starts(self) -> np.ndarray:
        """bool [V]: the piece begins a word, whatever stands before it. Special pieces do."""
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids. Special pieces vanish; broken UTF-8 becomes U+FFFD.

        Raises:
          UserError: an id outside [0, V).
        """
        ids = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64).reshape(-1)
        outside = ids[(ids < 0) | (ids >= self.size)]
        if outside.size:
            raise UserError(f"token id {outside[0]} is outside the vocabulary of {self.size}; "
                            "decode with the tokenizer that the ids were made by")
        dropped = set(self.special.values())
        return self._text([n for n in ids.tolist() if n not in dropped])

    def _text(self, ids: list[int]) -> str:
        raise NotImplementedError

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the spec and the content. Equal fingerprints give equal ids."""
        return _fingerprint(self.spec, self.content)

    def save(self, directory: str | os.PathLike) -> None:
        """Writes the stored form; an interrupted save leaves nothing that would load.

        Raises:
          UserError: the directory cannot be written.
        """
        about = {"spec": to_json(self.spec), "fingerprint": self.fingerprint}
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        try:
            _write(Path(directory), self.content | {SPEC_FILE: text.encode()})
        except OSError as error:
            raise UserError(f"cannot write a tokenizer to {directory}: {error.strerror}") from None

    def __eq__(self, other) -> bool:
        return isinstance(other, Tokenizer) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, fingerprint={self.fingerprint[:12]})"

    def __reduce__(self):
        return _reopen, (self.spec, self.content)  # what a worker process receives


def _fingerprint(spec: TokenizerSpec, content: dict[str, bytes]) -> str:
    digest = hashlib.sha256(json.dumps(to_json(spec), sort_keys=True).encode())
    for name in sorted(content):
        digest.update(f"\n{name} {len(content[name])}\n".encode())
        digest.update(content[name])
    return digest.hexdigest()


def _write(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():  # each at once, the fingerprint last
        unfinished = directory / f"{name}.unfinished"
        unfinished.write_bytes(data)
        unfinished.replace(directory / name)


def _reopen(spec: TokenizerSpec, content: dict[str, bytes]) -> Tokenizer:
    return spec.open(content)


def load_tokenizer(directory: str | os.PathLike) -> Tokenizer:
    """The tokenizer that `Tokenizer.save` wrote into a directory.

    Raises:
      UserError: no tokenizer there, a kind that does not exist, or content that was changed.
    """
    from transformer.data import (  # noqa: F401  registers the kinds
        hugging_face,
        no_text,
        pieces,
        vocabulary,
    )

    directory = Path(directory)
    about = read_object(directory / SPEC_FILE)
    spec = from_json(about.get("spec", {}), str(directory / SPEC_FILE))
    if not isinstance(spec, TokenizerSpec):
        raise UserError(f"{directory / SPEC_FILE} does not describe a tokenizer")
    content = {name: read_file(directory / name) for name in spec.files}
    if _fingerprint(spec, content) != about.get("fingerprint"):
        raise UserError(f"{directory}: the tokenizer's files do not match their fingerprint; "
                        "they were changed or damaged, so copy or train the tokenizer again")
    return spec.open(content)
