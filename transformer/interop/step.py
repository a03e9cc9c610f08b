"""A step directory around parameters that were trained elsewhere."""

from __future__ import annotations

import uuid
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from transformer.data.framed import Framed
from transformer.data.packing import Packed
from transformer.data.padding import Padded
from transformer.data.source import Jsonl, Text
from transformer.data.tokenizer import Tokenizer
from transformer.interop.frame import Frame
from transformer.nn.context import Run
from transformer.nn.model import Decoder, EncoderDecoder
from transformer.objectives.choose import Choose
from transformer.objectives.classify import Classify
from transformer.objectives.extract import Extract
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.objectives.objective import Objective
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.objectives.tag import Tag
from transformer.spec import Spec, to_json
from transformer.training import manifest, paths
from transformer.training.checkpoint import filler
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant

LENGTH = 512  # tokens of a row that is judged, where the model has positions for as many


def write_state(directory: Path, params: dict) -> None:
    """Writes {path: array} as a checkpoint's state.

    Not compressed: trained weights hardly are. Not copied before: nobody changes them meanwhile.
    """
    kinds = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, ocp.type_handlers.ArrayHandler()),
        (np.ndarray, ocp.type_handlers.NumpyHandler(deepcopy_host_arrays=False)))
    handler = ocp.PyTreeCheckpointHandler(use_compression=False, type_handler_registry=kinds)
    with ocp.Checkpointer(handler) as writer:
        tree = {"params": paths.nested(params)}
        writer.save(directory.absolute() / "state", args=ocp.args.PyTreeSave(tree))


def write_about(directory: Path, spec: Spec, tokenizer: Tokenizer, **how) -> None:
    """Writes everything that a step directory holds besides its state and its manifest. how: see
    `experiment_of`."""
    experiment = experiment_of(spec, tokenizer, **how)
    files = {"spec.json": spec, "objective.json": experiment.objective,
             "tokenizer": tokenizer.save,
             "data.json": {"experiment": to_json(experiment), "fingerprint": "", "counters": {}}}
    for name, value in files.items():
        filler(value)(directory / name)


def seal(directory: Path) -> None:
    """Writes the manifest. Nothing may be added afterwards."""
    manifest.write(directory, {"step": 0, "run": uuid.uuid4().hex, "metric": {}})


def experiment_of(spec: Spec, tokenizer: Tokenizer, start: str = "pad",
                  frame: Frame | None = None) -> Experiment:
    """How such a model is judged on data that is named later, and nothing of how it was trained.

    start: see `SequenceToSequence`. frame: what stands around a text; as in our own training if
    None.
    """
    objective = _objective(spec, start)
    length = min(spec.embedding.position.limit() or LENGTH, LENGTH)
    labelled = not isinstance(objective, (NextToken, MaskedLM))
    if frame is not None:
        rows = Framed(length=max(length, 3), opening=frame.opening, closing=frame.closing)
    else:
        opening = None if isinstance(spec, Decoder) or "cls" not in tokenizer.special else "cls"
        rows = Padded(length=length) if labelled else Packed(length=length, opening=opening)
    data = Jsonl(path="data/*.jsonl") if labelled else Text(path="data/*.txt")
    return Experiment(model=spec, data=data, objective=objective, rows=rows, steps=1, batch=8,
                      optimizer=AdamW(learning_rate=Constant(peak=0.0)), tokenizer=tokenizer.spec,
                      run=Run())


def _objective(spec: Spec, start: str) -> Objective:
    names, auxiliary = [name for name, _ in spec.heads], 0.0
    if isinstance(spec, EncoderDecoder):
        return SequenceToSequence(start=start)
    known = {"score": Choose(auxiliary=auxiliary), "classes": Classify(auxiliary=auxiliary),
             "tags": Tag(), "span": Extract(), "logits": NextToken(), "mlm": MaskedLM()}
    return next((known[name] for name in known if name in names),
                NextToken() if isinstance(spec, Decoder) else MaskedLM())
