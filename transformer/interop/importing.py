"""From a Hugging Face directory to a checkpoint like any other."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.interop import beginning
from transformer.interop.config import Config
from transformer.interop.family import Family, of_type
from transformer.interop.folder import CONFIG, GENERATION, KEPT, Folder
from transformer.interop.frame import frame_of
from transformer.interop.step import seal, write_about, write_state
from transformer.interop.table import parameters, require_names
from transformer.interop.tokenizer import FILES, tokenizer_in
from transformer.interop.view import View
from transformer.interop.whole import whole
from transformer.nn.door import Model
from transformer.spec import Spec
from transformer.training import paths


@dataclasses.dataclass(frozen=True)
class Read:
    """A model as read: {path: array} in the types of the file. notes: what was passed over."""

    family: Family
    architecture: str
    config: Config
    spec: Spec
    params: dict[str, np.ndarray]
    notes: list[str]


def read(folder: Folder) -> Read:
    """The model in a directory, one tensor at a time.

    Raises:
      Unsupported: a family or class that there is no table for.
      UserError: files that are not what they should be.
    """
    tree, where = folder.object(CONFIG), str(folder.path / CONFIG)
    family = of_type(tree.get("model_type"))
    named = tree.get("architectures") or [next(iter(family.architectures))]
    if not (isinstance(named, list) and isinstance(named[0], str)):
        raise UserError(f"{where}: architectures must list the name of a class")
    if tree.get("quantization_config") is not None:
        raise UserError(f"{where}: the weights are quantised; take those that are not")
    architecture, heads = named[0], family.heads(named[0])
    config = Config(tree, where, architecture)
    ties = family.forced or config.flag("tie_word_embeddings", family.ties)
    view = View(folder.tensors(), family, config, ties)
    config = dataclasses.replace(config, tied=ties and view.tied, names=view.names)
    spec = family.spec(config, heads)
    rows = family.rows(spec)
    require_names(rows, view)
    view.leave({name for each in rows for name in each.names()})
    shapes = paths.named(Model(spec).shapes())
    return Read(family, architecture, config, spec, parameters(rows, shapes, view), view.notes)


def bring(source: Path, target: Path) -> Read:
    """Writes the checkpoint `target`, a step directory, or nothing. `source` is only read.

    Raises:
      Unsupported, UserError: as `read`; or `target` exists.
    """
    folder = Folder(source)
    with whole(target) as step:
        found = read(folder)
        tokenizer = tokenizer_in(folder, found.spec.embedding.vocab)
        if tokenizer.size > found.spec.embedding.vocab:
            found.notes.append(f"the tokenizer has {tokenizer.size:,} ids, the model only "
                               f"{found.spec.embedding.vocab:,}")
        write_state(step, found.params)
        frame = frame_of(folder, found.family.model_type, found.spec, tokenizer)
        found.notes.extend(frame.notes)
        write_about(step, found.spec, tokenizer, frame=frame,
                    start=beginning.piece(found.config, tokenizer.special))
        _keep(folder, step)
        seal(step)
    return found


def _keep(folder: Folder, step: Path) -> None:
    """Copies what is not in our own files: config.json, generation's, the tokenizer's."""
    (step / KEPT).mkdir()
    for name in (CONFIG, *FILES):
        if folder.has(name):
            shutil.copyfile(folder.inside(name), step / KEPT / name)
    if folder.has(GENERATION):
        shutil.copyfile(folder.inside(GENERATION), step / GENERATION)
