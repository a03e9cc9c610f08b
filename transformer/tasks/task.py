"""What every task shares: its doors, and how a record of named fields is read."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from transformer.error import UserError
from transformer.spec import Spec


class Task(Spec):
    """What a model is asked, and how its answers are judged.

    Records are dicts of named fields; "where" (FILE:LINE) is quoted in every error about one.

    Attributes:
      head: the head that the task reads; "" if it reads text that the model generated.
      generates: answers are generated from `inputs`, and `predict` reads outputs["generated"].
      metric: the entry of `score` that a run is judged by; larger is better.
    """

    head: ClassVar[str] = ""
    generates: ClassVar[bool] = False
    metric: ClassVar[str] = "accuracy"

    @property
    def width(self) -> int:
        """How many numbers the head gives for each thing that it judges."""
        return 1

    def inputs(self, record: dict, tokenizer, length: int) -> dict[str, np.ndarray]:
        """What the model sees of a record, without the answer.

        Args:
          length: tokens that a row holds; longer records are cut.

        Raises:
          UserError: FILE:LINE and what is wrong with the record.
        """
        raise NotImplementedError

    def example(self, record: dict, tokenizer, length: int) -> dict[str, np.ndarray]:
        """`inputs` with the answer, as the objective wants it. Raises as `inputs` does."""
        raise NotImplementedError

    def predict(self, outputs: dict, batch: dict, tokenizer) -> list:
        """One answer for each example of a batch that is not padding. Host, numpy."""
        raise NotImplementedError

    def score(self, predictions: list, records: list[dict]) -> dict[str, float]:
        """The metrics of predictions in the order of their records."""
        raise NotImplementedError


def where(record: dict) -> str:
    """FILE:LINE of a record, for messages."""
    return str(record.get("where", "record"))


def value(record: dict, name: str) -> Any:
    """The field of that name. UserError if the record lacks it."""
    if name not in record:
        known = ", ".join(sorted(set(record) - {"where"}))
        raise UserError(f"{where(record)}: no field {name!r}; it has {known}")
    return record[name]


def text(record: dict, name: str) -> str:
    """The field of that name, which must be text."""
    found = value(record, name)
    if not isinstance(found, str):
        raise UserError(f"{where(record)}: {name} is {found!r:.40}, but it must be text")
    return found


def texts(record: dict, name: str) -> list[str]:
    """The field of that name, which must be text or a list of one or more."""
    found = value(record, name)
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, (list, tuple)) or not found or not all(
            isinstance(one, str) for one in found):
        raise UserError(f"{where(record)}: {name} is {found!r:.40}, but it must be text or a "
                        "list of texts")
    return list(found)


def number(record: dict, name: str, low: float, high: float) -> float:
    """The field of that name, which must be a number from low to high."""
    found = value(record, name)
    try:
        if isinstance(found, bool):
            raise ValueError
        result = float(found)
    except (TypeError, ValueError):
        raise UserError(f"{where(record)}: {name} is {found!r:.40}, but it must be a "
                        "number") from None
    except OverflowError:  # a whole number beyond every float, and so beyond every range
        result = math.nan
    if not low <= result <= high:
        raise UserError(f"{where(record)}: {name} is {found!s:.40}, but it must lie between "
                        f"{low:g} and {high:g}")
    return result


def index(record: dict, name: str, count: int) -> int:
    """The field of that name, which must be a whole number from 0 to count - 1."""
    found = number(record, name, 0, count - 1)
    if found != int(found):
        raise UserError(f"{where(record)}: {name} is {found}, but it must be a whole number")
    return int(found)


def class_index(record: dict, name: str, label: Any, classes: tuple[str, ...]) -> int:
    """The index of a label, given by name or, unless names are numbers themselves, by index.

    Raises:
      UserError: neither; -1 and len(classes) among them.
    """
    if str(label) in classes:
        return classes.index(str(label))
    if any(one.lstrip("-").isdigit() for one in classes) or not _whole(label):
        raise UserError(f"{where(record)}: {name} {label!r:.40} is not one of {', '.join(classes)}")
    return index({**record, name: label}, name, len(classes))


def _whole(label: Any) -> bool:
    return isinstance(label, (int, np.integer)) or (
        isinstance(label, str) and label.strip().lstrip("-").isdigit())


def check_classes(kind: str, classes: tuple[str, ...]) -> None:
    """UserError unless there are two or more, all different."""
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UserError(f"{kind}.classes is {classes}, but it must name two or more different ones")


def real(batch: dict, rows: int = 1) -> np.ndarray:
    """Which examples of a batch, each of that many rows, are not padding: bool [B]."""
    return (np.asarray(batch["segments"]) > 0).any(-1).reshape(-1, rows).any(-1)
