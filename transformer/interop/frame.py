"""The special pieces that a family's tokenizer puts around a text, by our names.

A tokenizer.json says it in its post-processor. Without one it is the default of the family's class
(LLaMA and Gemma: their tokenizer_config.json where it says something else).
"""

from __future__ import annotations

from typing import NamedTuple

from transformer.data.hugging_face import CONFIG_FILE, HuggingFaceTokenizer
from transformer.data.tokenizer import Tokenizer
from transformer.interop.folder import Folder
from transformer.nn.model import Decoder
from transformer.spec import Spec

# The first of them that a tokenizer has. Ours have cls, bos and eos; BERT's cls and sep alone.
OPENINGS, CLOSINGS = ("cls", "bos"), ("eos", "sep")
OPENED = ("llama", "gemma")  # decoders whose texts begin with bos
CLOSED = ("t5", "marian")  # encoder-decoders whose texts end with eos, and begin with nothing


class Frame(NamedTuple):
    """Names of special pieces, None for nothing. notes: what cannot be said by two names."""

    opening: str | None = None
    closing: str | None = None
    notes: tuple[str, ...] = ()


def frame_of(folder: Folder, model_type: str, spec: Spec, tokenizer: Tokenizer) -> Frame:
    """What stands around a text that the model of a directory reads."""
    around = tokenizer.around() if isinstance(tokenizer, HuggingFaceTokenizer) else None
    if around is None:
        return _usual(folder, model_type, spec, tokenizer.special)
    named = [_named(ids, tokenizer.special, names)
             for ids, names in zip(around, (("bos", "cls"), CLOSINGS))]
    lost = [ids for ids, name in zip(around, named) if ids and name is None]
    return Frame(*named, tuple(f"texts are read without the ids {ids} that its tokenizer puts "
                               "around them: they are not one special piece" for ids in lost))


def _named(ids: list[int], special: dict[str, int], names: tuple[str, ...]) -> str | None:
    if len(ids) != 1:
        return None
    return next((name for name in (*names, *special) if special.get(name) == ids[0]), None)


def _usual(folder: Folder, model_type: str, spec: Spec, special: dict[str, int]) -> Frame:
    opening, closing = OPENINGS, CLOSINGS
    if isinstance(spec, Decoder):
        said = folder.object(CONFIG_FILE) if folder.has(CONFIG_FILE) else {}
        opening = ("bos",) * bool(said.get("add_bos_token", model_type in OPENED))
        closing = ("eos",) * bool(said.get("add_eos_token", False))
    elif model_type in CLOSED:
        opening, closing = (), ("eos",)
    elif model_type == "bart":
        opening = ("bos",)
    return Frame(*(next((name for name in names if name in special), None)
                   for names in (opening, closing)))
