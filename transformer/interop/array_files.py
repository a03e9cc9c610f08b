"""The .npz files of `logits` and `generate`: Hugging Face's inputs in, outputs out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.spec import nearest

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "mc_token_ids",
          "decoder_input_ids", "decoder_attention_mask")


def read_inputs(path: Path) -> dict[str, np.ndarray]:
    """The integer arrays of an .npz file.

    Raises:
      UserError: not such a file, an unknown name, or an array that is not of whole numbers.
    """
    arrays = _arrays(path)
    for name, array in arrays.items():
        if name not in INPUTS:
            raise UserError(f"{path}: there is no input {name!r}{nearest(name, INPUTS)}")
        if array.dtype.kind not in "iub":
            raise UserError(f"{path}: {name} is {array.dtype}, but it must be of whole numbers")
    if "input_ids" not in arrays:
        raise UserError(f"{path}: there is no input_ids")
    return {name: array.astype(np.int64) for name, array in arrays.items()}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Everything in the file, which may be cut off, damaged or something else."""
    with open(path, "rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            single = isinstance(file, np.ndarray)
            arrays = {} if single else {name: np.asarray(file[name]) for name in file.files}
        except Exception as error:  # NumPy and the archives below raise whatever they stumble over
            raise UserError(f"{path} is no .npz file that can be read: {error}") from None
    if single:
        raise UserError(f"{path} is no .npz file but one array without a name; write it with "
                        "np.savez(PATH, input_ids=...)")
    return arrays


def write_outputs(path: Path, outputs: dict[str, np.ndarray]) -> None:
    """Writes an .npz file, all or nothing, and prints the shapes."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **outputs)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for name, array in outputs.items():
        print(f"{name} {list(array.shape)}")
