"""model.safetensors of a Hugging Face directory, in shards where it is large."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from transformer.interop import safetensors
from transformer.interop.family import Family
from transformer.interop.folder import INDEX, WEIGHTS
from transformer.interop.table import Row, described, tensor

SHARD = 5_000_000_000  # bytes


def write(folder: Path, family: Family, architecture: str, rows: list[Row],
          params: dict[str, np.ndarray], shard: int = SHARD) -> None:
    """Writes {path: array} under their names, one tensor at a time."""
    about = described(rows, params)
    made = {name: (each, n) for each in rows for n, name in enumerate(each.names())}
    parts = _parts(about, shard)
    names = [WEIGHTS] if len(parts) == 1 else [
        f"model-{n:05d}-of-{len(parts):05d}.safetensors" for n in range(1, len(parts) + 1)]
    index = {}
    for file, part in zip(names, parts):
        spelled = {name: family.written(architecture, name) for name in part}
        safetensors.write(folder / file, {spelled[name]: about[name] for name in part},
                          (tensor(made[name][0], params, made[name][1]) for name in part))
        index |= dict.fromkeys(spelled.values(), file)
    if len(parts) > 1:
        total = sum(safetensors.nbytes(*what) for what in about.values())
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        (folder / INDEX).write_text(text + "\n", encoding="utf-8")


def _parts(about: dict, shard: int) -> list[list[str]]:
    """Names in the order of the file, cut where the next tensor would exceed a shard."""
    parts, size = [[]], 0
    for name in safetensors.ordered(about):
        more = safetensors.nbytes(*about[name])
        if parts[-1] and size + more > shard:
            parts, size = [*parts, []], 0
        parts[-1].append(name)
        size += more
    return parts
