"""From a checkpoint to a Hugging Face directory, with the proof that it is the same model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.interop import beginning, card, proof, tokenizer, weights
from transformer.interop.config import Config
from transformer.interop.counterpart import Counterpart, aligned, counterpart, trimmed
from transformer.interop.family import Family, known
from transformer.interop.folder import CONFIG, GENERATION, KEPT
from transformer.interop.half import PARTS, half
from transformer.interop.table import settled
from transformer.interop.whole import whole
from transformer.nn.model import Pair
from transformer.spec import Spec
from transformer.training import paths

PARITY, CARD = "parity.json", "README.md"
CODE = ("auto_map", "custom_pipelines")  # entries that name programs


def original(step: Path) -> tuple[Family | None, Config | None]:
    """The family and the config.json that a step was imported with, if it was."""
    path = step / KEPT / CONFIG
    if not path.is_file():
        return None, None
    tree = json.loads(path.read_text(encoding="utf-8"))
    return known().get(tree.get("model_type")), Config(tree, str(path))


def send(loaded, target: Path, part: str | None = None, keep: bool = True) -> dict:
    """Writes the directory `target`, or nothing. -> what parity.json holds

    Args:
      loaded: from `transformer.load`, its parameters as they are stored. part: of a pair the half
        that is written, the discriminator by default. keep: whether `loaded` is still needed; its
        parameters are given up otherwise, so that no two copies are held at once.

    Raises:
      Unsupported: they have no such architecture; says what differs from the nearest.
      Disproved: what was written does not give the same model back.
      UserError: `target` exists, a parameter is not finite, or `part` of what is no pair.
    """
    family, kept = original(loaded.path)
    base = {} if kept is None else {n: v for n, v in kept.tree.items() if n not in CODE}
    spec, params, halved = _whole_or_half(loaded, part)
    _require_finite(loaded.path, params)
    vocab, special = spec.embedding.vocab, loaded.tokenizer.special
    if family is None and loaded.tokenizer.size < vocab:
        spec, params = trimmed(spec, params, loaded.tokenizer.size)
    if family is None and "pad" in special:
        spec, params = aligned(spec, params, special["pad"])
    found = counterpart(spec, params, known()["electra"] if halved else family, base)
    params.clear()
    if not keep:
        loaded.params.clear()
    for path in found.params:  # one by one; whole, they would be copied at once when they are run
        found.params[path] = settled(found.params[path])
    with whole(target) as folder:
        weights.write(folder, found.family, found.architecture, found.rows, found.params)
        _write(folder / CONFIG, _config(found, loaded, base))
        if (generation := _generation(found, loaded)) is not None:
            _write(folder / GENERATION, generation)
        notes = [*found.notes, *halved,
                 *tokenizer.write(loaded.tokenizer, loaded.path / KEPT, folder)]
        report = {"model_type": found.family.model_type, "architecture": found.architecture,
                  "vocabulary": {"model": vocab, "written": found.spec.embedding.vocab},
                  "notes": notes, **proof.prove(folder, found)}
        _write(folder / PARITY, report)
        (folder / CARD).write_text(card.card(found, report), encoding="utf-8")
    return report


def _whole_or_half(loaded, part: str | None) -> tuple[Spec, dict, list[str]]:
    """What is written of a model, and a line about what is not."""
    spec, params = loaded.model.spec, paths.named(loaded.params)
    if isinstance(spec, Pair):
        part = part or PARTS[0]
        other, = set(PARTS) - {part}
        return *half(spec, params, part), [f"this is the {part}; --part={other} writes the other"]
    if part is not None:
        raise UserError(f"{loaded.path}: this model is not a pair; leave --part={part} out")
    return spec, params, []


def _config(found: Counterpart, loaded, base: dict) -> dict:
    """config.json: what the model is, over what it was imported with."""
    ids = {f"{name}_token_id": loaded.tokenizer.special.get(name) for name in ("bos", "eos", "pad")}
    length = getattr(loaded.experiment.rows, "length", None)
    guesses = {**ids, **beginning.entry(loaded), "max_position_embeddings": length}
    tree = {**({} if base else guesses), **base, **found.tree}
    return dict(sorted({**tree, **_labels(found, loaded, base)}.items()))


def _labels(found: Counterpart, loaded, base: dict) -> dict:
    counts = [head.classes for name, head in found.spec.heads if name in ("classes", "tags")]
    if {"logits", "score"} <= dict(found.spec.heads).keys():
        counts = [1]  # so the double heads have it
    if not counts or len(base.get("id2label") or {}) == counts[0]:
        return {}
    names = getattr(loaded.experiment.task, "classes", ())
    if len(names) != counts[0]:
        names = [f"LABEL_{n}" for n in range(counts[0])]
    return {"id2label": {str(n): name for n, name in enumerate(names)},
            "label2id": {name: n for n, name in enumerate(names)}}


def _generation(found: Counterpart, loaded) -> dict | None:
    """generation_config.json: the one it was imported with, or where our texts begin and end."""
    path = loaded.path / GENERATION
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    if "logits" not in dict(found.spec.heads):
        return None
    special = loaded.tokenizer.special
    ids = {f"{name}_token_id": special[name] for name in ("bos", "eos", "pad") if name in special}
    return {**ids, **beginning.entry(loaded)}


def _write(path: Path, tree: dict) -> None:
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _require_finite(step: Path, params: dict[str, np.ndarray]) -> None:
    for path, array in params.items():
        if not all(np.isfinite(part.astype(np.float32)).all() for part in np.atleast_2d(array)):
            raise UserError(f"{step}: {path} is not finite everywhere; export a step from before "
                            "the run diverged")
