"""`python -m transformer tokenizer train | inspect | encode`."""

from __future__ import annotations

import argparse
import json
import time
import typing
from collections.abc import Iterator
from pathlib import Path

from transformer.data.pieces import Pieces
from transformer.data.source import Text
from transformer.data.stored_tokenizer import StoredTokenizer
from transformer.data.tokenizer import SPEC_FILE, Tokenizer, TokenizerSpec, load_tokenizer
from transformer.data.tokenizer_options import parser
from transformer.data.vocabulary import Bytes, Characters
from transformer.error import UserError

CHECKED = 1_000_000  # characters of the training text that are encoded and decoded again


def command(arguments: list[str]) -> int:
    """Runs `tokenizer` with the arguments after that word; 0 when it has done what was asked.

    Raises:
      UserError: a file that is missing, empty or not UTF-8; a vocabulary the text cannot support.
    """
    options = parser().parse_args(arguments)
    numbers = {"train": train, "inspect": inspect, "encode": encode}[options.verb](options)
    if options.json:
        _write(Path(options.json), numbers)
    return 0


def train(options: argparse.Namespace) -> dict:
    """Learns a tokenizer from raw text, stores it, and says how well it does on that text."""
    began = time.perf_counter()
    sources = [Text(path=path, documents="file") for path in options.files]
    for source in sources:
        source.files()  # a mistyped name is refused before anything is read
    tokenizer = _spec(options).train(t for source in sources for t in source.texts())
    seconds = time.perf_counter() - began
    _keep(tokenizer, Path(options.output))
    numbers = {"kind": type(tokenizer.spec).__name__, "size": tokenizer.size,
               **measured(tokenizer, _beginning(sources)),
               "fingerprint": tokenizer.fingerprint, "seconds": seconds}
    print(f"{numbers['kind']} of {tokenizer.size:,} ids in {options.output} ({seconds:.1f} s)")
    print(f"{numbers['characters_per_token']:.3f} characters per token, "
          f"{numbers['bytes_per_token']:.3f} bytes per token "
          f"(first {numbers['characters']:,} characters)")
    print(_verdict(numbers))
    print(f"fingerprint {tokenizer.fingerprint}")
    return numbers


def inspect(options: argparse.Namespace) -> dict:
    """Prints the size, the special pieces and some of the others."""
    tokenizer = StoredTokenizer(path=options.tokenizer).train()
    spec, pieces = tokenizer.spec, [tokenizer.piece(n) for n in range(tokenizer.size)]
    starts = int(tokenizer.word_starts().sum())
    print(f"{spec}\n{tokenizer.size:,} ids, {starts:,} of them begin a word")
    print("special: " + "  ".join(f"{pieces[n]} {n}" for n in tokenizer.special.values()))
    ordinary = [n for n in range(tokenizer.size) if n not in tokenizer.special.values()]
    longest = sorted(ordinary, key=lambda n: (-len(pieces[n]), n))[:options.pieces]
    print("longest: " + "  ".join(f"{pieces[n]!r} {n}" for n in longest))
    print("last: " + "  ".join(f"{pieces[n]!r} {n}" for n in ordinary[-options.pieces:]))
    print(f"fingerprint {tokenizer.fingerprint}")
    return {"kind": type(spec).__name__, "size": tokenizer.size, "special": tokenizer.special,
            "word_starts": starts, "fingerprint": tokenizer.fingerprint, "pieces": pieces}


def encode(options: argparse.Namespace) -> dict:
    """Prints the pieces and the ids of each text, and whether they give it back."""
    tokenizer = StoredTokenizer(path=options.tokenizer).train()
    texts = list(options.text)
    for path in options.inputs:
        texts += Text(path=path, documents="line").texts()
    if not texts:
        raise UserError("tokenizer encode needs --text=TEXT or --inputs=FILE")
    rows = tokenizer.encode_batch(texts)
    for text, ids in zip(texts, rows):
        print(" ".join(map(str, ids)))
        print("  " + "|".join(repr(tokenizer.piece(n))[1:-1] for n in ids))
        if tokenizer.decode(ids) != text:
            print(f"  decodes to {tokenizer.decode(ids)!r}")
    return {"texts": texts, "ids": rows, **measured(tokenizer, iter(texts))}


def measured(tokenizer: Tokenizer, texts: Iterator[str]) -> dict:
    """Characters, UTF-8 bytes and tokens of some texts, and how many lines come back changed."""
    lines = [line for text in texts for line in text.splitlines(keepends=True)]
    rows = tokenizer.encode_batch(lines)
    changed = sum(tokenizer.decode(ids) != line for line, ids in zip(lines, rows))
    tokens = sum(map(len, rows))
    characters, size = sum(map(len, lines)), sum(len(line.encode()) for line in lines)
    return {"characters": characters, "tokens": tokens, "lines": len(lines),
            "lines_changed": changed, "characters_per_token": characters / max(tokens, 1),
            "bytes_per_token": size / max(tokens, 1)}


def _spec(options: argparse.Namespace) -> TokenizerSpec:
    """The spec that the options ask for; an option that its kind does not have is refused."""
    kind = {"pieces": Pieces, "bytes": Bytes, "characters": Characters}[options.kind]
    known = typing.get_type_hints(kind)
    given = {name: value for name, value in vars(options).items() if name in options.fields
             and value is not None}
    for name in given:
        if name not in known:
            option = name.replace("_", "-")
            raise UserError(f"--{option} has no meaning for --kind={options.kind}; leave it out")
    return kind(**given)


def _keep(tokenizer: Tokenizer, directory: Path) -> None:
    if (directory / SPEC_FILE).exists() and load_tokenizer(directory) != tokenizer:
        raise UserError(f"{directory} holds another tokenizer; give another --output, or remove it")
    tokenizer.save(directory)


def _beginning(sources: list[Text]) -> Iterator[str]:
    left = CHECKED
    for text in (text for source in sources for text in source.texts()):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _verdict(numbers: dict) -> str:
    changed, lines = numbers["lines_changed"], numbers["lines"]
    if not changed:
        return f"round trip: exact on all of {lines:,} lines"
    return f"round trip: {changed:,} of {lines:,} lines come back changed"


def _write(path: Path, numbers: dict) -> None:
    try:
        path.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json: cannot write {path}: {error.strerror}") from None
