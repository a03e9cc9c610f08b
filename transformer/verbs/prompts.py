"""From a text to the tokens that a checkpoint's model begins from, and from its tokens to text."""

from __future__ import annotations

from typing import NamedTuple

from transformer.error import UserError
from transformer.objectives.objective import special


class Prompt(NamedTuple):
    """text: as given. tokens: what the decoder begins from. source: of the encoder, or None.
    shown: what stands before the model's own text."""

    text: str
    tokens: list[int]
    source: list[int] | None = None
    shown: str = ""


def prompt_of(loaded, text: str, where: str) -> Prompt:
    """The prompt in the form that the checkpoint's task and objective gave to its training rows.

    Raises:
      UserError: there is no token in it.
    """
    experiment, tokenizer = loaded.experiment, loaded.tokenizer
    ids, task = tokenizer.encode(text), experiment.task
    if not ids:
        raise UserError(f"{where} is empty; give the model a text to begin from")
    apart, shown = "source_tokens" in loaded.model.example(), text
    inputs = {"tokens": _opening(experiment, tokenizer) + ids}
    if apart:
        inputs = {"source_tokens": loaded.framed(ids)}
    if task is not None and task.generates:
        room = len(ids) + 3  # for every special piece, so that nothing is cut
        inputs = task.inputs({task.source: text, "where": where}, tokenizer, room)
        shown = ""
    if not apart:
        return Prompt(text, list(inputs["tokens"]), shown=shown)
    return Prompt(text, [experiment.objective.first(tokenizer)], list(inputs["source_tokens"]))


def _opening(experiment, tokenizer) -> list[int]:
    """The piece that plain text began with in training, if any: the task's, or else the rows'."""
    first = getattr(experiment.task, "first", None) or getattr(experiment.rows, "opening", None)
    return [special(tokenizer, first)] if first else []


def continuation(loaded, prompt: Prompt, ids: list[int]) -> str:
    """The text of new tokens behind the prompt: some tokenizers drop the space a text begins with.

    An answer is one line.
    """
    decode = loaded.tokenizer.decode
    if not prompt.shown:
        return decode(ids).replace("\n", " ").strip()
    return decode(prompt.tokens + ids)[len(decode(prompt.tokens)):]
