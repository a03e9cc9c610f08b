"""Generated answers: from the rows of a task to the tokens that the model puts behind them."""

from __future__ import annotations

import numpy as np

from transformer.nn.door import Model
from transformer.objectives.objective import special
from transformer.ops.sampling import Greedy
from transformer.spec import Spec
from transformer.training.experiment import Experiment


def answers(experiment: Experiment, model: Model, params, batch: dict, tokenizer,
            choose: Spec | None = None) -> np.ndarray:
    """Continuations of the prompts of a batch: ids [B, t], the end token behind each.

    params: unstacked. choose: see `generation.generate`, one answer each; greedily if None.
    """
    from transformer.generation.generate import generate

    sources, choose = "source_tokens" in batch, choose or Greedy()
    prompt = prompt_of(batch, experiment.objective, tokenizer)
    eos, room = special(tokenizer, "eos"), experiment.rows.length
    lengths = (prompt["segments"] > 0).sum(1)
    ids = np.full((len(lengths), room), eos, np.int32)
    for rows in alike(lengths, None if sources else _spare(model, choose, room)):
        tokens = room if sources else room - int(lengths[rows].min())
        made = generate(model, params, {name: array[rows] for name, array in prompt.items()},
                        tokens=max(tokens, 1), choose=choose, stop=eos, pad=eos,
                        vocab=tokenizer.size, run=experiment.run)
        ids[rows, :max(tokens, 1)] = made["tokens"]
    if not sources:  # an answer has the room that its row had in training, and no more
        ids[np.arange(room) >= (room - lengths)[:, None]] = eos
    return ids


def _spare(model: Model, choose: Spec, room: int) -> int | None:
    """By how much the prompts of one batch may differ in length; None: as they like."""
    if not isinstance(choose, Greedy):
        return 0  # a search takes the last token that there is room for as an end
    limit = model.spec.embedding.position.limit()
    return None if limit is None else limit - room


def alike(lengths: np.ndarray, spare: int | None):
    """Indices of rows whose lengths differ by at most `spare`, group by group; None: all rows."""
    order = np.argsort(lengths, kind="stable")
    while len(order):
        near = len(order) if spare is None else int(
            (lengths[order] <= lengths[order[0]] + spare).sum())
        yield order[:near]
        order = order[near:]


def prompt_of(batch, objective, tokenizer) -> dict:
    """What generation starts from: the source and the first token, or the row up to the answer."""
    if "source_tokens" in batch:
        rows = len(batch["source_tokens"])
        first = np.full((rows, 1), objective.first(tokenizer), np.int32)
        return {"tokens": first, "segments": np.ones_like(first),
                **{name: batch[name] for name in ("source_tokens", "source_segments")}}
    # the first position that is weighed predicts the first token of the answer
    weighed = batch["weights"] > 0
    kept = (np.cumsum(weighed, 1) - weighed == 0) & (batch["segments"] > 0)
    return {"tokens": np.where(kept, batch["tokens"], 0), "segments": kept.astype(np.int32)}
