"""`generation_config.json`, which an imported checkpoint keeps: what holds by default."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transformer.error import UserError

# Older models have no such file: there, the model's own config says it.
FILES = ("generation_config.json", "hugging_face/config.json")
# Its names -> ours, the value that changes nothing, and what it must be (methods of Config).
SAME = {"num_beams": ("beams", 1, "count"), "length_penalty": ("length_penalty", None, "number"),
        "num_return_sequences": ("answers", 1, "count"),
        "repetition_penalty": ("repetition_penalty", 1.0, "number"),
        "no_repeat_ngram_size": ("no_repeat", 0, "natural"),
        "max_new_tokens": ("tokens", None, "count"), "max_length": ("max_length", None, "count"),
        "min_new_tokens": ("min_tokens", 0, "natural"), "min_length": ("min_length", 0, "natural")}
ONE = {"forced_bos_token_id": "forced_bos", "pad_token_id": "pad", "bos_token_id": "bos",
       "decoder_start_token_id": "start"}
SEVERAL = {"eos_token_id": "eos", "forced_eos_token_id": "forced_last",
           "suppress_tokens": "suppressed"}
UNTIL = {True: "full", "never": "sure"}
# Hugging Face's defaults of do_sample.
DRAWN = {"temperature": ("number", 1.0), "top_k": ("natural", 50), "top_p": ("number", 1.0)}
# What would change the answers and is not done here, with the value that changes nothing.
OTHER = {"num_beam_groups": 1, "diversity_penalty": 0.0, "penalty_alpha": 0, "typical_p": 1.0,
         "min_p": 0, "top_h": 0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "guidance_scale": 1,
         "encoder_repetition_penalty": 1.0, "encoder_no_repeat_ngram_size": 0,
         "exponential_decay_length_penalty": None, "sequence_bias": None,
         "begin_suppress_tokens": None, "force_words_ids": None, "constraints": None,
         "stop_strings": None, "watermarking_config": None}


def defaults(step: Path) -> dict:
    """{option: value} of a step directory; nothing where it does not hold such a file.

    Besides the options of the command line: "max_length" and "min_length", the prompt included;
    "eos", "forced_last", "banned" and "suppressed", tuples of ids; "pad", "bos" and "start"; and
    "renormalised", which is True if it is there.

    Raises:
      UserError: the file is no JSON object, or an entry of it is not of its kind.
    """
    path = next((step / name for name in FILES if (step / name).is_file()), None)
    if path is None:
        return {}
    config = _read(path)
    given = {ours: getattr(config, kind)(name) for name, (ours, idle, kind) in SAME.items()
             if config.raw(name, idle) != idle}
    given |= {ours: config.ids(name, most=1)[0] for name, ours in ONE.items()
              if config.ids(name, most=1)}
    given |= {ours: config.ids(name) for name, ours in SEVERAL.items() if config.ids(name)}
    given |= {"renormalised": True} if config.flag("renormalize_logits", False) else {}
    until = config.typed("early_stopping", False, "true, false or 'never'",
                         lambda v: type(v) is bool or v == "never")
    given |= {"until": UNTIL[until]} if until else {}
    bad = config.typed("bad_words_ids", [], "a list of lists of token ids", _runs)
    single = tuple(ids[0] for ids in bad if len(ids) == 1)
    given |= {"banned": single} if single else {}
    left = [name for name, idle in OTHER.items() if config.raw(name, idle) != idle]
    left += ["bad_words_ids of several tokens"] * (len(single) < len(bad))
    if config.flag("do_sample", False):
        given |= {name: getattr(config, kind)(name, usual) for name, (kind, usual) in DRAWN.items()}
        given = {**given, "top_k": given["top_k"] or None}
        left += ["do_sample (beam search does not draw)"] * ("beams" in given)
    if left:
        print(f"{path}: not applied: {', '.join(left)}", file=sys.stderr)
    return given


def _read(path: Path):
    """The file as a Config."""
    from transformer.interop.config import Config

    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: it must hold one object, but holds {type(tree).__name__}")
    return Config(tree, str(path))


def _runs(value) -> bool:
    return isinstance(value, list) and all(
        isinstance(ids, list) and ids and all(type(n) is int for n in ids) for ids in value)


def joined(given: dict, usual: dict) -> dict:
    """{option: value} as given, or else as usual: a search that is asked for replaces usual draws,
    and the reverse."""
    from transformer.verbs.choosing import DRAWING, SEARCHING

    aside = ()
    if "beams" in given:
        aside = DRAWING
    elif any(name in given for name in DRAWING):
        aside = ("beams", *SEARCHING)
    return {**{name: value for name, value in usual.items() if name not in aside}, **given}
