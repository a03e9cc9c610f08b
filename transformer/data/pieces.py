"""SentencePiece vocabularies, learnt from raw text or taken from a `.model` file.

Kudo and Richardson 2018; BPE: Sennrich et al. 2016; unigram: Kudo 2018.
"""

from __future__ import annotations

import dataclasses
import io
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from transformer.data.characters import refuse_surrogates
from transformer.data.piece_tokenizer import FilePieceTokenizer, PieceTokenizer
from transformer.data.special import SPELLED, special_pieces
from transformer.data.stored import read_file
from transformer.data.tokenizer import Tokenizer, TokenizerSpec
from transformer.data.vocabulary import check_sentinels
from transformer.error import UserError
from transformer.spec import Count

MODEL_FILE = "pieces.model"
LINE = 2000  # characters; longer lines are learnt from in parts
THREADS = 16  # fixed: SentencePiece stores this number in the model, and so in the fingerprint

# Characters with which SentencePiece marks spaces and unknowns, and the end of its C strings.
RESERVED = re.compile("[\n\u2581\u2585\0]")


class Pieces(TokenizerSpec):
    """Pieces learnt by SentencePiece: the special pieces, the newline, the bytes, then the learnt.

    With the defaults every text round-trips: nothing is normalised, all spaces are kept, and what
    the vocabulary cannot spell is written in bytes.

    Attributes:
      vocab: number of ids, V.
      normalization: done to every text before it is encoded, and so lost in decoding.
      byte_fallback: without it, characters outside the vocabulary become `unk`, U+2581 a space.
      split_digits: every digit is a piece of its own (LLaMA §2.1).
      character_coverage: the share of the text's characters that get a piece of their own.
      sample: characters at most; lines are drawn at random from all. It bounds the memory.
    """

    files: ClassVar = (MODEL_FILE,)
    vocab: int = 8192
    model: Literal["bpe", "unigram"] = "bpe"
    normalization: Literal[
        "identity", "lowercase", "nfkc", "nfkc_cf", "nmt_nfkc", "nmt_nfkc_cf"] = "identity"
    byte_fallback: bool = True
    split_digits: bool = False
    character_coverage: float = 0.9995
    sentinels: int = 0
    sample: Count = 10_000_000

    def check(self):
        check_sentinels(self)
        needed = len(SPELLED) + self.sentinels + 1 + 256 * self.byte_fallback  # 1: the newline
        if self.vocab <= needed:
            raise UserError(f"Pieces.vocab is {self.vocab}, but {needed} ids are taken by special "
                            "pieces, the newline and the bytes; raise it")
        if not 0.98 <= self.character_coverage <= 1:
            raise UserError(f"Pieces.character_coverage is {self.character_coverage}, "
                            "but it must lie between 0.98 and 1")

    def train(self, documents: Iterable[str]) -> Tokenizer:
        documents = map(str.lower, documents) if self.normalization == "lowercase" else documents
        lines = thinned(_lines(documents), self.sample)
        if not any(line.strip() for line in lines):
            raise UserError("there is no text to learn Pieces from: every document is empty")
        return self.open({MODEL_FILE: _learn(self, lines)})

    def open(self, content: dict[str, bytes]) -> Tokenizer:
        return PieceTokenizer(self, content, MODEL_FILE, content[MODEL_FILE])


class PiecesFile(TokenizerSpec):
    """A `.model` file that SentencePiece trained elsewhere, encoding and decoding as it does there.

    Its control pieces are found by their spelling; those it lacks are absent from `special`.
    """

    files: ClassVar = (MODEL_FILE,)
    path: str

    def train(self, documents: Iterable[str] = ()) -> Tokenizer:
        return self.open({MODEL_FILE: read_file(Path(self.path))})

    def open(self, content: dict[str, bytes]) -> Tokenizer:
        return FilePieceTokenizer(self, content, self.path, content[MODEL_FILE])

    def portable(self) -> PiecesFile:
        return dataclasses.replace(self, path=MODEL_FILE)


def thinned(lines: Iterable[str], budget: int) -> list[str]:
    """Lines of about half to all of `budget` characters, drawn evenly from all, always the same.

    Every line gets a random height; when too much is kept, the bar that a line must pass is raised.
    """
    heights, bar, kept, size = random.Random(0), 0.0, [], 0
    for line in lines:
        height = heights.random()
        if height < bar:
            continue
        kept.append((height, line))
        size += len(line)
        while size > budget and len(kept) > 1:
            bar = 1 - (1 - bar) / 2
            kept = [(height, line) for height, line in kept if height >= bar] or kept[-1:]
            size = sum(len(line) for _, line in kept)
    return [line for _, line in kept]


def _lines(documents: Iterable[str]) -> Iterator[str]:
    for document in documents:
        for line in RESERVED.split(document):
            for start in range(0, len(line), LINE):
                yield line[start:start + LINE]


def _learn(spec: Pieces, lines: list[str]) -> bytes:
    import sentencepiece

    controls = list(special_pieces(spec.sentinels).values())
    rule = "identity" if spec.normalization == "lowercase" else spec.normalization
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, model_type=spec.model,
            vocab_size=spec.vocab, character_coverage=spec.character_coverage,
            max_sentence_length=4 * LINE, split_digits=spec.split_digits,
            normalization_rule_name=rule, byte_fallback=spec.byte_fallback,
            remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
            add_dummy_prefix=False, pad_id=0, unk_id=1, bos_id=2, eos_id=3,
            control_symbols=controls[4:], user_defined_symbols=["\n"],
            num_threads=THREADS, minloglevel=2)
    except (RuntimeError, TypeError) as error:
        refuse_surrogates(lines)
        raise _explained(spec, str(error)) from error
    return model.getvalue()


def _explained(spec: Pieces, message: str) -> Exception:
    most = re.search(r"value <= (\d+)", message)
    least = re.search(r"required_chars\. \d+ vs (\d+)", message)
    if most:
        return UserError(f"Pieces.vocab {spec.vocab} is too large for this text: "
                         f"at most {most[1]}; lower it, or train on more text")
    if least:
        return UserError(f"Pieces.vocab {spec.vocab} is too small for the characters of this text: "
                         f"at least {least[1]}; raise it, or lower character_coverage")
    return RuntimeError(f"SentencePiece failed: {message}")
