"""An experiment as a value: everything that decides what a run computes, and how often it tells."""

from __future__ import annotations

from transformer.error import UserError
from transformer.ops.placement import Mesh
from transformer.spec import Count, Natural, Rate, Seed, Spec, difference
from transformer.training.optimizer import Optimizer


class Experiment(Spec):
    """What a config function returns.

    model, objective, optimizer: see `nn.model`, `objectives`, `training.optimizer`.
    data: a source of documents, or of labelled records where there is a task (`data.source`).
    tokenizer: see `data.tokenizer`, or the stage or checkpoint whose tokenizer to take; None takes
      that of `start_from`.
    task: what the fields of a record mean and how answers are scored (`tasks`).
    rows: how documents become rows of fixed length (`data.rows`).
    validation: a source of its own, or a held-out part of the data; None for none.
    test: a source that is read once, after training; None for none.
    steps: updates. batch: rows per update. accumulate: slices a batch is cut into.
    seed: of initialisation, data order, corruption and dropout.
    run: how to run (`nn.context.Run`). mesh: see `ops.placement.Mesh`.
    average: decay of the moving average of the parameters, which is then what is evaluated.
    start_from: an earlier stage, a run directory or a checkpoint whose parameters to begin with.
    log_every, evaluate_every, save_every: steps; 0 means only at the end.
    keep_last: checkpoints to keep; the best by `best` is kept besides.
    best: the validation metric that decides; see `lower_is_better`.
    patience: evaluations without a better value before the run stops; None to go on.
    max_skipped: updates in a row that may be skipped as not finite before the run ends.
    prompts: texts to continue after training. tokens: how many tokens to continue them by.
    wandb: Weights & Biases project, or None.
    """

    model: Spec
    data: Spec
    objective: Spec
    rows: Spec
    optimizer: Optimizer
    steps: Count
    batch: Count
    tokenizer: Spec | str | None = None
    task: Spec | None = None
    validation: Spec | None = None
    test: Spec | None = None
    accumulate: Count = 1
    seed: Seed = 0
    run: Spec | None = None
    mesh: Mesh = Mesh()
    average: Rate = 0.0
    start_from: str | None = None
    log_every: Natural = 10
    evaluate_every: Natural = 0
    save_every: Natural = 0
    keep_last: Count = 2
    best: str = "validation_loss"
    patience: Count | None = None
    max_skipped: Count = 10
    prompts: tuple[str, ...] = ()
    tokens: Count = 64
    wandb: str | None = None

    def check(self):
        if self.batch % self.accumulate:
            raise UserError(f"batch {self.batch} does not divide into accumulate={self.accumulate} "
                            "slices; use a divisor of the batch")
        if self.tokenizer is None and self.start_from is None:
            raise UserError("tokenizer is none; name one, or a checkpoint to start_from")


LOWER = ("loss", "perplexity", "bits_per_byte")


def lower_is_better(metric: str) -> bool:
    """Losses and what is computed from them; every other metric is better when it is higher."""
    return metric.endswith(LOWER)


# What may change when a run is continued: its length, and what it tells and keeps.
FREE = ("steps", "log_every", "evaluate_every", "save_every", "keep_last", "patience",
        "max_skipped", "prompts", "tokens", "wandb", "test", "mesh", "run")


# What changes nothing of what a finished run found.
QUIET = ("log_every", "evaluate_every", "save_every", "keep_last", "max_skipped", "wandb", "mesh",
         "run")


def changed(old: Experiment, new: Experiment, free: tuple[str, ...] = FREE) -> list[str]:
    """Lines `path: old -> new` for every difference that would make a continued run another run."""
    return [line for line in difference(old, new)
            if line.split(":")[0].split(".")[0] not in free]
