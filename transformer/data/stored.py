"""Small files read whole, with one line for whoever named the wrong one."""

from __future__ import annotations

import json
from pathlib import Path

from transformer.error import UserError


def read_file(path: Path) -> bytes:
    """The bytes of a file; UserError where there is no such file or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; a tokenizer is a directory made by "
                        "`python -m transformer tokenizer train`") from None


def read_object(path: Path) -> dict:
    """The JSON object in a file; UserError where there is none."""
    try:
        value = json.loads(read_file(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object")
    return value
