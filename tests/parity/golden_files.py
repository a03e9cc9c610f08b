"""The golden files as the tests read them: imported as a user's directory would be."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from golden_models import FOLDER, STEPS

from transformer.interop.arrays import Translation
from transformer.interop.folder import Folder
from transformer.interop.importing import read
from transformer.nn.door import Model
from transformer.objectives.next_sentence import NextSentence
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.training import paths


@dataclasses.dataclass(frozen=True)
class Brought:
    """A golden model as imported, in float32. files: the arrays beside it."""

    model: Model
    params: dict
    translation: Translation
    files: dict[str, np.ndarray]

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays of one kind."""
        return {name.removeprefix(prefix): array for name, array in self.files.items()
                if name.startswith(prefix)}

    def lessons(self) -> list[dict]:
        """The batches that it learns from."""
        arrays = {name: a.astype(np.float32 if name == "weights" else np.int32)
                  for name, a in self.under("lessons/").items()}
        return [{name: a[n] for name, a in arrays.items()} for n in range(STEPS)]

    def objective(self):
        """What it learns."""
        batch = self.lessons()[0]
        if "masked" in batch:
            return NextSentence()
        return SequenceToSequence() if "source_tokens" in batch else NextToken()

    def still(self, params, batch, rng, **part):
        """`apply` without dropout."""
        return self.model.apply(params, batch, **part)


def parameters(name: str, part: str = "") -> dict[str, np.ndarray]:
    """{path: float32 array} of a golden directory or of one inside it."""
    found = read(Folder(FOLDER / name / part)).params
    return {path: np.asarray(array, np.float32) for path, array in found.items()}


@functools.cache
def brought(name: str) -> Brought:
    """The golden model of this name."""
    found = read(Folder(FOLDER / name))
    with np.load(FOLDER / name / "io.npz") as file:
        files = dict(file)
    return Brought(Model(found.spec), paths.nested(parameters(name)),
                   Translation(found.spec, found.family, found.config), files)
