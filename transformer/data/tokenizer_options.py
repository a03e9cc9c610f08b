"""The options of `python -m transformer tokenizer`; defaults and choices are those of the specs."""

from __future__ import annotations

import argparse
import dataclasses
import typing

from transformer.data.pieces import Pieces
from transformer.data.vocabulary import Characters

HELP = {
    "vocab": "ids in all, special pieces and bytes included",
    "model": "how pieces are learnt",
    "normalization": "done to every text before it is encoded; anything but identity loses text",
    "byte_fallback": "write characters outside the vocabulary in bytes (with no-: as <unk>)",
    "split_digits": "make every digit a piece of its own",
    "character_coverage": "share of the text's characters that get a piece, 0.98 to 1",
    "sentinels": "pieces <extra_0>, <extra_1>, … for span corruption",
    "sample": "characters of text to learn from, drawn from all lines; bounds the memory",
    "unknown": "characters only: what a new character becomes",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line of the verb."""
    top = argparse.ArgumentParser(
        prog="python -m transformer tokenizer", allow_abbrev=False,
        description="Train, inspect and try tokenizers.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="train | inspect | encode")
    _train(_verb(verbs, "train", "learn a tokenizer from raw UTF-8 text"))
    inspect = _verb(verbs, "inspect", "print size, special pieces and some of the others")
    _tokenizer(inspect)
    inspect.add_argument("--pieces", type=_count, default=20, metavar="INT",
                         help="how many of the longest and of the last pieces to print "
                              "(%(default)s)")
    encode = _verb(verbs, "encode", "print the pieces and ids of texts")
    _tokenizer(encode)
    encode.add_argument("--text", action="append", default=[], metavar="TEXT",
                        help="a text; may be given several times")
    encode.add_argument("--inputs", action="append", default=[], metavar="FILE",
                        help="a UTF-8 file, one text on each line; may be given several times")
    return top


def _verb(verbs, name: str, about: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".",
                            allow_abbrev=False)
    verb.add_argument("--json", metavar="PATH", help="also write every number here (default: no)")
    return verb


def _tokenizer(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("tokenizer", metavar="TOKENIZER",
                      help="a directory made by `tokenizer train`, a tokenizer.json or its folder, "
                           "or a SentencePiece .model file")


def _train(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("files", nargs="+", metavar="FILES",
                      help="text files, folders or globs; .gz and .xz as well")
    verb.add_argument("--output", required=True, metavar="DIR", help="where the tokenizer goes")
    verb.add_argument("--kind", choices=("pieces", "bytes", "characters"), default="pieces",
                      help="SentencePiece, or no pieces at all (pieces)")
    fields = dataclasses.fields(Pieces) + dataclasses.fields(Characters)
    hints = typing.get_type_hints(Characters) | typing.get_type_hints(Pieces)
    defaults = {field.name: field.default for field in fields}
    for name, default in defaults.items():
        _field(verb, name, hints[name], default)
    verb.set_defaults(fields=frozenset(defaults))


def _field(verb: argparse.ArgumentParser, name: str, hint, default) -> None:
    option, about = "--" + name.replace("_", "-"), f"{HELP[name]} ({default})"
    if hint is bool:
        verb.add_argument(option, action=argparse.BooleanOptionalAction, help=about)
    elif typing.get_origin(hint) is typing.Literal:
        verb.add_argument(option, choices=typing.get_args(hint), help=about)
    else:
        verb.add_argument(option, type=hint, metavar=hint.__name__.upper(), help=about)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("it counts pieces")
    return value
