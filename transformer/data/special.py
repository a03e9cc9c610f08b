"""The pieces that stand for no text, and where foreign tokenizers keep theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# In the order of their ids. Objectives and tasks ask for them by name and never by id.
SPELLED = {
    "pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>", "cls": "<cls>",
    "sep": "<sep>", "start": "<start>", "delimiter": "<delimiter>", "extract": "<extract>",
}

# The same roles as published tokenizers spell them, the likeliest spelling first.
FOREIGN = {
    "pad": ("[PAD]", "<|pad|>", "<|padding|>"),
    "unk": ("[UNK]", "<|unk|>"),
    "bos": ("[BOS]", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("[EOS]", "<eos>", "<|end_of_text|>", "<|endoftext|>"),
    "mask": ("[MASK]", "<|mask|>"),
    "cls": ("[CLS]",),
    "sep": ("[SEP]",),
}


def special_pieces(sentinels: int = 0) -> dict[str, str]:
    """Name -> spelling of every special piece, in the order of ids: the ten, then the sentinels."""
    return SPELLED | {f"extra_{n}": f"<extra_{n}>" for n in range(sentinels)}


def stands_for_text(tokenizer) -> np.ndarray:
    """bool [V]: every id that is no special piece, and unk where it is nothing else (GPT-2's ends
    texts as well)."""
    text, special = np.ones(tokenizer.size, bool), list(tokenizer.special.values())
    text[special] = False
    unknown = tokenizer.special.get("unk")
    if special.count(unknown) == 1:
        text[unknown] = True
    return text


def named(find: Callable[[str], int | None]) -> dict[str, int]:
    """Name -> id of the special pieces that a foreign tokenizer has.

    Args:
      find: the id of a special piece by its spelling; None where there is none.
    """
    found = {}
    for name, spelled in SPELLED.items():
        ids = map(find, (spelled, *FOREIGN.get(name, ())))
        found[name] = next((n for n in ids if n is not None), None)
    number = 0
    while (sentinel := _first(find, f"<extra_{number}>", f"<extra_id_{number}>")) is not None:
        found[f"extra_{number}"] = sentinel
        number += 1
    return {name: n for name, n in found.items() if n is not None}


def _first(find, *spellings: str) -> int | None:
    return next((n for n in map(find, spellings) if n is not None), None)
