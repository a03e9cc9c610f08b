"""Imports every module that defines specs, so that `spec.from_json` knows their kinds."""

from __future__ import annotations

import functools
import importlib
import pkgutil

FLOORS = ("ops", "nn", "data", "objectives", "tasks", "training", "generation")


@functools.cache
def register() -> None:
    """After this, every spec that any run can have stored can be read back."""
    for floor in FLOORS:
        package = importlib.import_module(f"transformer.{floor}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
