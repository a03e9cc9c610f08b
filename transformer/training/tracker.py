"""Weights & Biases as a mirror of the log, only for runs that ask for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformer.error import UserError


class WandB:
    """Sends the numbers of every record to a project; a resumed run goes on in the same place.

    Raises:
      UserError: the package is not installed, or it does not let the run in.
    """

    def __init__(self, directory, project: str, config: dict | None = None):
        try:
            import wandb
        except ImportError:
            raise UserError("wandb is asked for but not installed; pip install wandb, or set "
                            "wandb to none") from None
        directory = Path(directory).absolute()
        identity = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
        try:
            self._run = wandb.init(project=project, name=directory.name, id=identity,
                                   resume="allow", dir=str(directory), config=config)
        except Exception as error:
            raise UserError(f"wandb: {str(error).strip().splitlines()[0]}") from error

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One logged step."""
        self._run.log(numbers, step=step)

    def close(self) -> None:
        self._run.finish()
