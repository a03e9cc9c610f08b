"""The Python door: a checkpoint as a model, its parameters and its tokenizer."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from transformer import kinds
from transformer.data.tokenizer import Tokenizer, load_tokenizer
from transformer.error import UserError
from transformer.nn.door import Model, unstack
from transformer.spec import Spec, from_json
from transformer.training import manifest
from transformer.training.division import require_parameters
from transformer.training.experiment import Experiment
from transformer.training.restore import restore_params, shapes
from transformer.training.sharding import placed_shapes
from transformer.training.shelf import find, on_disk


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What `load` gives; unpacks as `model, params, tokenizer`.

    model: `nn.door.Model`. params: its parameters, a plain dict of arrays. tokenizer: see
    `data.tokenizer`. experiment: the run that made it. path: the step's directory.
    """

    model: Model
    params: Any
    tokenizer: Any
    experiment: Experiment
    path: Path

    def __iter__(self):
        return iter((self.model, self.params, self.tokenizer))

    @functools.cached_property
    def decoding_params(self):
        """The parameters as decoding wants them, see `nn.door.unstack`."""
        return unstack(self.params)

    def framed(self, ids: list[int]) -> list[int]:
        """A text's ids between the special pieces that the model's texts had in training."""
        special, task = self.tokenizer.special, self.experiment.task
        if hasattr(task, "layout") and hasattr(task.layout, "opening"):
            return [special[task.layout.opening], *ids, special[task.layout.closing]]
        rows = self.experiment.rows
        opening = getattr(self.experiment.objective, "opening", getattr(rows, "opening", None))
        last = getattr(rows, "closing", "eos")  # `data.encode` ends documents by it
        closing = [special[last]] if last in special else []
        return [*([special[opening]] if opening else []), *ids, *closing]


def load(checkpoint, average: bool | None = None, stored: bool = False, mesh=None) -> Loaded:
    """Opens a checkpoint after checking it against its manifest.

    Args:
      checkpoint: a step's directory, or a run's: its last stage's newest good step.
      average: the moving average of the parameters; by default where there is one.
      stored: the parameters as they lie on disk, numpy arrays in the types they have there.
      mesh: the devices that share the parameters, such as `Mesh(tensor=4).build()`; work with them
        under `jax.set_mesh(mesh)`. The first device by default.

    Raises:
      UserError: no checkpoint there, or none that is whole, or the mesh does not divide the model,
        or there is a mesh for what is stored.
    """
    if stored and mesh is not None:
        raise UserError("stored=True gives numpy arrays, which lie on no mesh; leave one out")
    path = _whole(checkpoint)
    experiment = from_json(json.loads((path / "data.json").read_text())["experiment"], str(path))
    model = Model(_architecture(path))
    if average is None:
        average = any(name.startswith("ema/") for name in shapes(path))
    abstract = None if stored else model.shapes()
    if mesh is not None:
        require_parameters(abstract, mesh)
        abstract = placed_shapes({"params": abstract}, mesh)["params"]
    params = restore_params(path, abstract, average=average, verified=True)
    return Loaded(model, params, load_tokenizer(path / "tokenizer"), experiment, path)


def architecture(checkpoint) -> Spec:
    """The model that a checkpoint holds, without its parameters. Arguments and errors as `load`."""
    return _architecture(_whole(checkpoint))


def tokenizer_at(checkpoint) -> Tokenizer:
    """The tokenizer of a checkpoint; only its own files are checked."""
    return load_tokenizer(find(stage(Path(checkpoint))) / "tokenizer")


def _whole(checkpoint) -> Path:
    path = find(stage(Path(checkpoint)))
    if damage := manifest.problems(path):
        raise UserError(f"damaged checkpoint: {damage[0]}; restore it from a copy, or name another")
    kinds.register()
    return path


def _architecture(path: Path) -> Spec:
    return from_json(json.loads((path / "spec.json").read_text()), str(path / "spec.json"))


def stage(path: Path) -> Path:
    """The directory of the last stage of a run that has checkpoints; others as they are."""
    listed = path / "stages.json"
    if not listed.is_file():
        return path
    names = json.loads(listed.read_text(encoding="utf-8"))
    made = [name for name in names if on_disk(path / name / "checkpoints")]
    if not made:
        raise UserError(f"{path}: none of its stages ({', '.join(names)}) has a checkpoint yet")
    return path / made[-1]
