"""`generation_config.json`, which an imported checkpoint keeps: what holds by default."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transformer.error import UserError

# Older models have no such file: there, the model's own config says it.
FILES = ("generation_config.json", "hugging_face/config.json")
# Its names -> ours; a value in the second place changes nothing and is passed over.
SAME = {"num_beams": ("beams", 1), "length_penalty": ("length_penalty", None),
        "num_return_sequences": ("answers", 1), "repetition_penalty": ("repetition_penalty", 1.0),
        "no_repeat_ngram_size": ("no_repeat", 0), "max_new_tokens": ("tokens", None),
        "min_new_tokens": ("min_tokens", 0), "max_length": ("max_length", None),
        "min_length": ("min_length", 0), "forced_bos_token_id": ("forced_bos", None),
        "pad_token_id": ("pad", None), "bos_token_id": ("bos", None),
        "decoder_start_token_id": ("start", None)}
SEVERAL = {"eos_token_id": "eos", "forced_eos_token_id": "forced_last",
           "suppress_tokens": "suppressed"}
UNTIL = {False: "likely", True: "full", "never": "sure"}
DRAWN = {"temperature": 1.0, "top_k": 50, "top_p": 1.0}  # Hugging Face's defaults of do_sample
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
    "eos", "forced_last", "banned" and "suppressed", tuples of ids; "pad", "bos" and "start".

    Raises:
      UserError: the file is no JSON object.
    """
    path = next((step / name for name in FILES if (step / name).is_file()), None)
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: it must hold one object, but holds {type(config).__name__}")
    config = {name: value for name, value in config.items() if value is not None}
    given = {ours: config[name] for name, (ours, idle) in SAME.items()
             if config.get(name, idle) != idle}
    given |= {ours: _ids(config[name]) for name, ours in SEVERAL.items() if name in config}
    if config.get("early_stopping"):
        given["until"] = UNTIL[config["early_stopping"]]
    bad = config.get("bad_words_ids", ())
    single = tuple(ids[0] for ids in bad if len(ids) == 1)
    given |= {"banned": single} if single else {}
    if config.get("do_sample"):
        given |= {name: config.get(name, usual) for name, usual in DRAWN.items()}
        given = {**given, "top_k": given["top_k"] or None}
    left = [name for name, idle in OTHER.items() if config.get(name, idle) != idle]
    left += ["bad_words_ids of several tokens"] * (len(single) < len(bad))
    if left:
        print(f"{path}: not applied: {', '.join(left)}", file=sys.stderr)
    return given


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


def _ids(value) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
