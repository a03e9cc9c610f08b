"""How tokens are chosen, as options of a command line: `generate` and `evaluate.py` share them."""

from __future__ import annotations

from transformer.error import UserError
from transformer.spec import Spec

DRAWING = ("temperature", "top_k", "top_p")
IDS = ("banned", "forced_bos", "forced_last", "suppressed", "eos", "pad", "start")
SEARCHING = ("length_penalty", "length_penalty_kind", "until")


def add_searching(add) -> None:
    """Adds the options of beam search; add: of an argparse parser."""
    add("--beams", type=int, metavar="K", help="beam search that keeps the K likeliest beginnings, "
        "int (default: 1, which is greedy)")
    add("--length-penalty", type=float, metavar="A", help="exponent of what an answer's "
        "log-probability is divided by, float (default: 1, or 0.6 of wu)")
    add("--length-penalty-kind", choices=("power", "wu"), help="n^A of an answer of n tokens, as "
        "Hugging Face, or ((5+n)/6)^A, as Wu 2016 (default: power)")
    add("--until", choices=("likely", "full", "sure"), help="beam search ends when a better answer "
        "is unlikely, when K answers ended, or when no better one can come (default: likely)")


def add_drawing(add) -> None:
    """Adds the options of sampling."""
    add("--temperature", type=float, metavar="T", help="float; 0 is greedy, 1 the model's own "
        "distribution (default: 1 where another option asks for sampling)")
    add("--top-k", type=int, metavar="K", help="keep the K likeliest tokens, int (default: all)")
    add("--top-p", type=float, metavar="P", help="keep the likeliest tokens whose probability "
        "reaches P, float in (0, 1] (default: 1)")


def add_constraints(add) -> None:
    """Adds the options that say what the next token may be."""
    add("--min-tokens", "--min-new-tokens", type=int, metavar="N",
        help="new tokens at least, int (default: 0)")
    add("--repetition-penalty", type=float, metavar="R", help="divides the score of a token that "
        "came before (multiplies it if negative), float (default: 1)")
    add("--no-repeat", "--no-repeat-ngram-size", type=int, metavar="N",
        help="no N tokens in a row come twice, int (default: any may)")
    add("--forced-bos", "--forced-bos-token-id", type=int, metavar="ID",
        help="the first new token, int (default: what the model says)")


def asked(options) -> dict:
    """{option: value} of what was given. UserError: a search and a draw at once."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    if "eos" in given:
        given["eos"] = (given["eos"],)
    if given.get("beams", 1) != 1 and (drawn := [name for name in DRAWING if name in given]):
        raise UserError(f"--beams searches and --{drawn[0].replace('_', '-')} draws; give one of "
                        "them")
    return given


def require_search(given: dict, joined: dict) -> None:
    """UserError: options of a search were given, but nobody asks for one."""
    idle = [name for name in SEARCHING if name in given]
    if idle and "beams" not in joined:
        raise UserError(f"--{idle[0].replace('_', '-')} is about beam search; add --beams=4, or "
                        "leave it out")


def choice(given: dict) -> Spec:
    """Greedy, Sample or Beam from {option: value}.

    Raises:
      UserError: a value out of range, or several answers of greedy.
    """
    from transformer.generation.beam import Beam, PowerPenalty, WuPenalty
    from transformer.ops.sampling import Greedy, Sample

    answers = given.get("answers", 1)
    if answers < 1:
        raise UserError(f"--samples is {answers}; ask for at least 1")
    if given.get("beams", 1) != 1:
        penalty = WuPenalty if given.get("length_penalty_kind") == "wu" else PowerPenalty
        alpha = {"alpha": given["length_penalty"]} if "length_penalty" in given else {}
        return Beam(width=given["beams"], answers=answers, penalty=penalty(**alpha),
                    until=given.get("until", "likely"))
    temperature = given.get("temperature", 1.0)
    sample = Sample(temperature=temperature or 1.0, top_k=given.get("top_k"),
                    top_p=given.get("top_p", 1.0), answers=answers)  # checks the values
    if temperature == 0 and answers > 1:
        raise UserError(f"greedy gives one answer, but --samples is {answers}; leave out "
                        "--temperature=0, or add --beams")
    drawn = temperature and (answers > 1 or any(name in given for name in DRAWING))
    return sample if drawn else Greedy()


def constraints(given: dict, vocab: int) -> tuple[Spec, ...]:
    """What {option: value} says of the next token, in Hugging Face's order.

    Raises:
      UserError: a value out of range, or a token that the vocabulary does not have.
    """
    from transformer.generation import constraint

    require_ids(given, vocab)
    rules = (("repetition_penalty", constraint.Repetition, "penalty"),
             ("no_repeat", constraint.NoRepeat, "size"),
             ("banned", constraint.Banned, "tokens"),
             ("min_tokens", constraint.MinTokens, "tokens"),
             ("forced_bos", constraint.ForcedFirst, "token"),
             ("forced_last", constraint.ForcedLast, "tokens"),
             ("suppressed", constraint.Banned, "tokens"))
    made = tuple(kind(**{field: given[name]}) for name, kind, field in rules if name in given)
    return (*made, constraint.Normalised()) if given.get("renormalised") else made


def require_ids(given: dict, vocab: int) -> None:
    """UserError for a token among {option: value} that the vocabulary does not have."""
    for name in IDS:
        ids = given.get(name, ())
        for token in ids if isinstance(ids, tuple) else (ids,):
            if not 0 <= token < vocab:
                raise UserError(f"{name.replace('_', ' ')}: there is no token {token}; the "
                                f"vocabulary has the ids 0 to {vocab - 1}")
