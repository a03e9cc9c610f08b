"""A checkpoint as StableHLO: programs that run without this project's code, and their parameters.

Parameters are arguments of the programs, so that these stay small and one file of numbers serves
all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
from jax import export

from transformer.error import UserError
from transformer.interop import beginning, safetensors
from transformer.interop.programs import PLATFORMS, by_layer, inputs, programs, served
from transformer.interop.stablehlo_card import PARAMETERS, card
from transformer.interop.whole import whole
from transformer.nn.door import Model
from transformer.nn.model import SourceToTarget
from transformer.training import paths

CLOSE = 1e-4  # of the largest value: what a program may differ by from the model it was made from
TOKENS = 8  # of a row of the check


def write(loaded, directory, capacity: int = 1024) -> dict:
    """Makes `directory`: {forward, prefill, decode}.stablehlo (only forward where the model cannot
    decode), params.safetensors, io.json, README.md and tokenizer/.

    Args:
      loaded: from `transformer.load`. capacity: tokens of prompt and answer together that decoding
        has room for; the model's positions where they are fewer.

    Returns:
      What io.json holds.

    Raises:
      UserError: `directory` exists, there is room for fewer than 8 tokens, or what was written,
        read back, does not compute what the model computes.
    """
    with whole(Path(directory)) as made:
        return _fill(made, loaded, capacity)


def _fill(directory: Path, loaded, capacity: int) -> dict:
    model, params = served(loaded.model, loaded.params)
    limit = model.spec.embedding.position.limit()
    capacity = min(capacity, limit or capacity)
    if capacity < TOKENS:
        raise UserError(f"there is room for {capacity} tokens; decoding needs at least {TOKENS}")
    flat = {name: np.asarray(leaf) for name, leaf in paths.named(params).items()}
    about = {name: (leaf.dtype, leaf.shape) for name, leaf in flat.items()}
    safetensors.write(directory / PARAMETERS, about, flat.values())
    made = programs(model, capacity)
    for name, program in made.items():
        (directory / f"{name}.stablehlo").write_bytes(program.serialize())
    said = {
        "model": type(model.spec).__name__, "parameters": model.count(),
        "platforms": PLATFORMS, "jax": jax.__version__,
        "vocabulary": loaded.tokenizer.size, "special": loaded.tokenizer.special,
        "start": _start(loaded), "positions": limit,
        "capacity": capacity if "decode" in made else None,
        "split": sorted(n for n, x in by_layer(model.shapes()).items() if isinstance(x, list)),
        "programs": {name: _signature(name, program) for name, program in made.items()},
        "differences": differences(model, params, directory, list(made)),
    }
    loaded.tokenizer.save(directory / "tokenizer")
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (directory / "io.json").write_text(text + "\n", encoding="utf-8")
    (directory / "README.md").write_text(card(said), encoding="utf-8")
    return said


def _start(loaded) -> int | None:
    """The id that the answers of an encoder-decoder begin with; None for other models."""
    if not isinstance(loaded.model.spec, SourceToTarget):
        return None
    told = beginning.told(loaded)
    return loaded.experiment.objective.first(loaded.tokenizer) if told is None else told


def _signature(name: str, program) -> dict:
    """{arguments, results} of an exported program: {path: [dtype, shape]}, parameters left out."""
    def told(tree):
        return {path: [str(leaf.dtype), [n if isinstance(n, int) else str(n) for n in leaf.shape]]
                for path, leaf in paths.named(tree).items()}

    (_, *given), _ = jax.tree.unflatten(program.in_tree, program.in_avals)
    got = jax.tree.unflatten(program.out_tree, program.out_avals)
    return {"arguments": told(dict(zip(("cache", "token") if name == "decode" else ("batch",),
                                       given, strict=True))),
            "results": told(got if name == "forward" else dict(zip(("logits", "cache"), got)))}


def differences(model: Model, params, directory: Path, names: list[str]) -> dict:
    """{program: largest difference from the model, relative to the largest value}, on ragged rows,
    with parameters and programs as the files have them.

    Raises:
      UserError: one of them is above CLOSE, or a parameter is not bit for bit what it was.
    """
    file = safetensors.File(directory / PARAMETERS)
    stored = {name: file.read(name) for name in file.entries}
    for name, leaf in paths.named(params).items():
        if stored[name].tobytes() != np.asarray(leaf).tobytes():
            raise UserError(f"{directory}: {name} was not written as it is; try another disk")
    program = {name: jax.jit(export.deserialize(
        bytearray((directory / f"{name}.stablehlo").read_bytes())).call) for name in names}
    batch, lengths = _rows(model.spec)
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(model.apply)(params, batch)
    theirs = program["forward"](stored, batch)
    found = {"forward": max(_apart(theirs[name], ours[name]) for name in theirs)}
    if "decode" in program:
        layers = by_layer(paths.nested(jax.device_put(stored)))
        rows, last = np.arange(len(lengths)), lengths - 1
        before = {**batch, "segments": batch["segments"] * (np.arange(TOKENS) < last[:, None])}
        logits_BV, cache = program["prefill"](layers, before)
        found["prefill"] = _apart(logits_BV, ours["logits"][rows, last - 1])
        logits_BV, _ = program["decode"](layers, cache, batch["tokens"][rows, last])
        found["decode"] = _apart(logits_BV, ours["logits"][rows, last])
    for name, difference in found.items():
        if not difference <= CLOSE:
            raise UserError(f"{name}.stablehlo differs by {difference:.1e} from the model it was "
                            "made from; it was not kept")
    return found


def _rows(spec) -> tuple[dict, np.ndarray]:
    """A batch of two rows, of 8 and 6 tokens, and these lengths."""
    count, lengths = np.arange(TOKENS)[None], np.array([TOKENS, TOKENS - 2])
    tokens_BT = np.random.default_rng(0).integers(0, spec.embedding.vocab, (2, TOKENS))
    segments_BT = count < lengths[:, None]
    made = {"tokens": tokens_BT, "segments": segments_BT, "source_tokens": tokens_BT[:, ::-1],
            "source_segments": segments_BT, "types": tokens_BT % max(spec.embedding.types, 1),
            "pooled": lengths - 1, "prefix": count < lengths[:, None] - 1}
    return {name: made[name].astype(np.int32) for name in inputs(spec, None, None)}, lengths


def _apart(theirs, ours) -> float:
    theirs, ours = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    return float(np.abs(theirs - ours).max() / max(np.abs(ours).max(), 1))
