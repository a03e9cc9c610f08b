"""From the values of an experiment to what they mean: its tokenizer, its data, its start."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from transformer.data.corpus import Corpus, Holdout
from transformer.data.encode import encode
from transformer.data.rowset import RowsSpec
from transformer.data.source import Source
from transformer.data.stream import Stream
from transformer.data.tokenizer import TokenizerSpec, load_tokenizer
from transformer.error import UserError
from transformer.loaded import stage as last_stage
from transformer.nn.cases import require_backend
from transformer.nn.context import Run
from transformer.nn.door import Model
from transformer.nn.model import Encoder, Pair, SourceToTarget
from transformer.objectives.objective import Objective
from transformer.tasks.task import Task
from transformer.training import paths
from transformer.training.experiment import Experiment
from transformer.training.restore import restore_params, shapes
from transformer.training.shelf import find, on_disk


@dataclasses.dataclass(frozen=True)
class Data:
    """One split: rows to draw from, the records behind them (labelled data), the corpus (text).

    full: records that fill their row; whatever of them was longer has been cut.
    """

    rows: Any
    records: list[dict] | None = None
    corpus: Corpus | None = None
    full: int = 0

    def stream(self, experiment: Experiment) -> Stream:
        """The batches of the experiment over these rows.

        Raises:
          UserError: they lack what the objective reads.
        """
        lacking = set(experiment.objective.needs) - self.rows.example(0).keys()
        if lacking:
            raise UserError(
                f"{type(experiment.objective).__name__} reads {', '.join(sorted(lacking))}, which "
                f"the rows of this data lack; set rows or a task that give them, or another "
                f"objective")
        return Stream(self.rows, experiment.objective, batch=experiment.batch,
                      seed=experiment.seed)


def tokenizer_of(experiment: Experiment, directory: Path, workdir: Path):
    """The run's tokenizer: the one it began with, else that of a checkpoint, else trained now.

    It is kept in DIR/tokenizer, so that a resumed run cannot end up with another.
    """
    kept = directory / "tokenizer"
    if on_disk(directory / "checkpoints"):
        return load_tokenizer(kept)
    wanted = experiment.tokenizer or experiment.start_from
    if isinstance(wanted, str):
        tokenizer = load_tokenizer(checkpoint_of(wanted, workdir) / "tokenizer")
    else:
        tokenizer = wanted.train(_texts(experiment))
    tokenizer.save(kept)
    return tokenizer


def _texts(experiment: Experiment):
    """What a tokenizer is trained on: the documents, or all texts of the labelled records."""
    if experiment.task is None:
        yield from experiment.data.texts()
        return
    for record in experiment.data.records():
        for name, value in record.items():
            if name != "where":
                values = value if isinstance(value, (list, tuple)) else [value]
                yield from (text for text in values if isinstance(text, str))


def require_vocabulary(model: Model, tokenizer, objective: Objective) -> None:
    """UserError unless the model has a row for every id: jax clamps ids out of range silently."""
    ids = objective.ids(tokenizer)
    own = [head for _, head in model.spec.heads if hasattr(head, "vocab")]
    tables = [model.spec.embedding, getattr(model.spec, "source_embedding", None)]
    vocab = min(spec.vocab for spec in [*tables, *own] if spec)
    if vocab < ids:
        holder = "tokenizer has" if ids == tokenizer.size else "objective's sentinels need"
        raise UserError(f"the {holder} {ids:,} ids, but the model's vocabulary is "
                        f"{vocab:,}; set the model's vocab to at least {ids:,}")


def require_same_tokenizer(base: Path, tokenizer) -> None:
    """UserError unless the checkpoint to start from was trained on these very pieces."""
    if load_tokenizer(base / "tokenizer").fingerprint != tokenizer.fingerprint:
        raise UserError(f"start_from {base}: its tokenizer is not this run's, so its embeddings "
                        "belong to other pieces; leave `tokenizer` out to take it over")


KINDS = {"model": (Encoder, SourceToTarget, Pair), "data": (Source,), "objective": (Objective,),
         "rows": (RowsSpec,), "task": (Task,), "validation": (Source, Holdout), "test": (Source,),
         "tokenizer": (TokenizerSpec, str), "run": (Run,)}


def require_kinds(experiment: Experiment) -> None:
    """UserError where a field holds a spec of another kind, such as a tokenizer for the data."""
    for name, kinds in KINDS.items():
        value = getattr(experiment, name)
        if value is not None and not isinstance(value, kinds):
            wanted = " or a ".join(kind.__name__ for kind in kinds)
            raise UserError(f"{name} is a {type(value).__name__}, but it must be a {wanted}")


def require_attention(experiment: Experiment, mesh) -> None:
    """UserError where the backend of attention that is asked for cannot serve this model."""
    rows = experiment.rows
    length, source = experiment.objective.read(rows.length, getattr(rows, "source_length", None))
    require_backend(experiment.model, experiment.run or Run(), length, source, mesh)


def training_data(experiment: Experiment, tokenizer) -> tuple[Data, Data | None]:
    """(training, validation or None)."""
    held_out = isinstance(experiment.validation, Holdout)
    if experiment.task is None:
        corpus, rest = encode(experiment.data, tokenizer), None
        if held_out:
            corpus, rest = corpus.split(experiment.validation)
        elif experiment.validation is not None:
            rest = encode(experiment.validation, tokenizer)
        return _text(experiment, corpus), rest and _text(experiment, rest)
    records, rest = list(experiment.data.records()), None
    if held_out:
        cut = experiment.validation.cut(len(records))
        records, rest = records[:cut], records[cut:]
    elif experiment.validation is not None:
        rest = list(experiment.validation.records())
    return (_labelled(experiment, records, tokenizer),
            rest and _labelled(experiment, rest, tokenizer))


def data_of(experiment: Experiment, source, tokenizer) -> Data:
    """Another source as the experiment reads its own: for tests and for `evaluate.py --data`."""
    if experiment.task is None:
        return _text(experiment, encode(source, tokenizer))
    return _labelled(experiment, list(source.records()), tokenizer)


def _text(experiment, corpus) -> Data:
    return Data(experiment.rows.build(corpus, experiment.objective.lookahead), corpus=corpus)


def _labelled(experiment, records, tokenizer) -> Data:
    lookahead = experiment.objective.lookahead
    length = experiment.rows.length + lookahead
    source = getattr(experiment.rows, "source_length", None)
    room = (length, source) if source and experiment.task.generates else (length,)
    examples = [{**experiment.task.example(record, tokenizer, *room), "where": record.get("where")}
                for record in records]
    rows = experiment.rows.build(examples, lookahead, tokenizer=tokenizer)
    full = sum(np.shape(example["tokens"])[-1] >= length for example in examples)
    return Data(rows, records=records, full=full)


def beginning(experiment: Experiment, directory: Path, workdir: Path) -> Path | None:
    """The checkpoint to start from. A run with checkpoints of its own no longer needs it."""
    if experiment.start_from is None or on_disk(directory / "checkpoints"):
        return None
    return checkpoint_of(experiment.start_from, workdir)


def checkpoint_of(name: str, workdir: Path) -> Path:
    """The checkpoint that a config means: an earlier stage of this run, or a path."""
    own = workdir / name
    return find(last_stage(own if own.is_dir() else Path(name)))


KEPT = "discriminator/"


def transfer(params, base: Path) -> tuple[Any, list[str]]:
    """`params` with every array replaced that `base` has at the same path; the others' paths.

    `params` may be `jax.ShapeDtypeStruct`s, whose shardings the arrays then get.

    Of a Pair an encoder takes the discriminator (Clark 2020 §2.1: the generator is thrown away).

    Raises:
      UserError: an array has another shape there, or none is shared.
    """
    mine, average = paths.named(params), any(n.startswith("ema/") for n in shapes(base))
    part = "ema/" if average else "params/"
    if any(n.startswith(f"{part}{KEPT}") for n in shapes(base)) and not any(
            name.startswith(KEPT) for name in mine):
        part += KEPT
    there = {n.removeprefix(part): s for n, s in shapes(base).items() if n.startswith(part)}
    shared = [name for name in mine if name in there]
    for name in shared:
        if there[name].shape != mine[name].shape:
            raise UserError(f"start_from {base}: {name} is {list(there[name].shape)} there, but "
                            f"{list(mine[name].shape)} in this model; use the same sizes")
    if not shared:
        raise UserError(f"start_from {base}: its model shares no parameter with this one")
    inner = part.split("/", 1)[1]
    wanted = {inner + n: jax.ShapeDtypeStruct(
        mine[n].shape, mine[n].dtype, sharding=getattr(mine[n], "sharding", None)) for n in shared}
    taken = paths.named(restore_params(base, paths.nested(wanted), average=average))
    merged = {**mine, **{n.removeprefix(inner): array for n, array in taken.items()}}
    return paths.nested(merged), sorted(set(mine) - set(shared))


def forget(directory: Path) -> None:
    """Removes what a run has written, for `train.py --fresh`."""
    for name in ("checkpoints", "tokenizer"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in ("config.json", "metrics.jsonl", "summary.json"):
        (directory / name).unlink(missing_ok=True)
    for file in directory.glob("events.out.tfevents.*"):
        file.unlink()
