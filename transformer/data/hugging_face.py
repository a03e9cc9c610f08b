"""Any Hugging Face `tokenizer.json`, through the library `tokenizers`."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from transformer.data.characters import begins_word, refuse_surrogates
from transformer.data.special import named
from transformer.data.stored import read_file, read_object
from transformer.data.tokenizer import Span, Tokenizer, TokenizerSpec
from transformer.error import UserError

FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"


class HuggingFace(TokenizerSpec):
    """A `tokenizer.json`, or the folder that holds one.

    Its special pieces get our names from the `tokenizer_config.json` beside it where there is one,
    then from their spelling. Those it lacks are absent. Nothing is added around a text, and a
    special piece spelled in a text is text.
    """

    files: ClassVar = (FILE, CONFIG_FILE)
    path: str

    def train(self, documents: Iterable[str] = ()) -> Tokenizer:
        path = Path(self.path)
        path = path / FILE if path.is_dir() else path
        config = path.parent / CONFIG_FILE
        found = roles(read_object(config)) if config.is_file() else {}
        kept = json.dumps(found, sort_keys=True).encode()
        return self.open({FILE: read_file(path), CONFIG_FILE: kept})

    def open(self, content: dict[str, bytes]) -> Tokenizer:
        return HuggingFaceTokenizer(self, content)

    def portable(self) -> HuggingFace:
        return dataclasses.replace(self, path=FILE)


def roles(config: dict) -> dict[str, str]:
    """The entries `bos_token`, `cls_token`, … of a tokenizer_config.json, as plain strings."""
    found = {role: config.get(f"{role}_token")
             for role in ("pad", "unk", "bos", "eos", "mask", "cls", "sep")}
    found = {role: t.get("content") if isinstance(t, dict) else t for role, t in found.items()}
    return {f"{role}_token": text for role, text in found.items() if isinstance(text, str)}


class HuggingFaceTokenizer(Tokenizer):
    """Encodes and decodes as `tokenizers` does; not all of them give a text back exactly."""

    def __init__(self, spec: HuggingFace, content: dict[str, bytes]):
        self._json, self._model = _opened(content[FILE], spec.path)
        added = self._model.get_added_tokens_decoder()
        specials = {token.content: n for n, token in added.items() if token.special}
        named_there = json.loads(content[CONFIG_FILE])
        special = named(specials.get)
        special |= {role.removesuffix("_token"): specials[text]
                    for role, text in named_there.items() if text in specials}
        vocabulary = self._model.get_vocab(with_added_tokens=True)
        super().__init__(spec, content, 1 + max(vocabulary.values(), default=-1), special)
        self._never = set(specials.values()) - {special.get("unk")}

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._encoded(texts)
        return [ids if self._never.isdisjoint(ids) else self._plain(ids)[0]
                for ids in (encoding.ids for encoding in found)]

    def _encoded(self, texts: Sequence[str]) -> list:
        try:
            return self._model.encode_batch(list(texts), add_special_tokens=False)
        except TypeError:
            refuse_surrogates(texts)
            raise

    def spans(self, text: str) -> tuple[list[int], list[Span]]:
        encoding = self._encoded([text])[0]
        ids, at = self._plain(encoding.ids)
        return ids, [tuple(encoding.offsets[n]) for n in at]

    def _plain(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """The ids with special ones made `unk` (else left out), and the places they come from.

        A vocabulary that lists its special pieces among the others (T5's) still finds them in text.
        """
        unknown = self.special.get("unk")
        plain = [(unknown if n in self._never else n, at) for at, n in enumerate(ids)]
        plain = [(n, at) for n, at in plain if n is not None]
        return [n for n, _ in plain], [at for _, at in plain]

    def around(self) -> tuple[list[int], list[int]] | None:
        """The ids that its own post-processor puts before and behind a text; None without one."""
        if not self._json.get("post_processor"):
            return None
        for text in ("a", *self._model.get_vocab()):  # some text that gives a token
            found = self._model.encode(text)
            own = [n for n, part in enumerate(found.sequence_ids) if part is not None]
            if own:
                return found.ids[:own[0]], found.ids[own[-1] + 1:]
        return None

    def _text(self, ids: list[int]) -> str:
        return self._model.decode(ids, skip_special_tokens=True)

    def piece(self, token: int) -> str:
        return self._model.id_to_token(token) or f"<unused {token}>"

    def word_starts(self) -> np.ndarray:
        """bool [V]. Where only the end of a word is marked (GPT-1's `</w>`), every piece is one."""
        model = self._json["model"]
        specials = self._never | {self.special.get("unk")}
        if model.get("end_of_word_suffix"):
            return np.ones(self.size, bool)
        continuing = model.get("continuing_subword_prefix") or None
        surface = _byte_level if "ByteLevel" in _kinds(self._json) else _spaced
        return np.array([
            n in specials or (not self.piece(n).startswith(continuing) if continuing
                              else begins_word(surface(self.piece(n))))
            for n in range(self.size)])


def _opened(data: bytes, path: str):
    """The parsed JSON, and the tokenizer free of truncation, padding and special pieces in text."""
    try:
        import tokenizers
    except ImportError:
        raise UserError("HuggingFace needs the library tokenizers; "
                        "install it with `pip install tokenizers`") from None
    try:
        text = data.decode()
        model = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{path} is not a tokenizer.json: {error}") from None
    model.no_truncation()
    model.no_padding()
    model.encode_special_tokens = True
    return json.loads(text), model


def _kinds(tree) -> set[str]:
    """Every `type` in the parts of a tokenizer.json that shape its pieces."""
    parts = [tree.get("pre_tokenizer"), tree.get("decoder")]
    nested = itertools.chain.from_iterable(
        [part, *part.get("pretokenizers", ()), *part.get("decoders", ())] for part in parts if part)
    return {part["type"] for part in nested}


def _spaced(piece: str) -> str:
    return "" if piece.startswith("<0x") else piece.replace("\u2581", " ")


def _byte_level(piece: str) -> str:
    """The start of the text a byte-level piece stands for: GPT-2 writes byte b as one character."""
    first = ord(piece[0]) if piece else 0x80
    byte = first - 256 if 256 <= first <= 288 else first  # bytes 0..32 were moved up by 256
    return chr(byte) if byte < 0x80 else ""
