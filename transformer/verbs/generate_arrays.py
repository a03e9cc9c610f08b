"""Token ids to token ids, as Hugging Face's `generate`: the door of `generate` for arrays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.spec import nearest
from transformer.verbs import choosing

TOKENS = 20  # new ones, as there
KNOWN = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask")
IMPORTED = ("hugging_face", "generation_config.json")  # either marks a step as from there


def answer(loaded, inputs: Path, outputs: Path, given: dict) -> None:
    """Writes `sequences` int64 [rows, length] and `scores` float32 [rows] for the prompts.

    A sequence begins with its prompt as it was given (of an encoder-decoder: with the start token)
    and is padded behind its end. A row of `scores` is what beam search ranks by, or else the
    answer's log-probability. given: {option: value}.

    Raises:
      UserError: arrays that are not what they should be, ids outside the vocabulary.
    """
    import jax

    from transformer.generation.generate import generate

    arrays = read(inputs, loaded.model.spec.embedding.vocab)
    batch = _batch(loaded, arrays, given)
    prompt, special = batch["tokens"], loaded.tokenizer.special
    given, choose = _counted(loaded, given, prompt.shape[1]), choosing.choice(given)
    eos = given.get("eos", (special["eos"],) if "eos" in special else ())
    pad = given.get("pad", eos[0] if eos else 0)
    if hasattr(choose, "width") and eos:
        pad = pad or eos[0]  # there, a padding token 0 does not count in beam search
    theirs = any((Path(loaded.path) / name).exists() for name in IMPORTED)
    vocab = loaded.model.spec.embedding.vocab if theirs else loaded.tokenizer.size
    with jax.default_matmul_precision("highest"):
        made = generate(loaded.model, loaded.decoding_params, batch, tokens=given["tokens"],
                        choose=choose, stop=eos, pad=pad, vocab=vocab,
                        key=jax.random.key(given.get("seed", 0)),
                        constraints=choosing.constraints(given, vocab))
    several = len(made["tokens"]) // len(prompt)
    new = made["tokens"][:, :made["lengths"].max()]
    sequences = np.concatenate([np.repeat(prompt, several, 0), new], 1).astype(np.int64)
    scores = made.get("score", made["log_probability"]).astype(np.float32)
    _write(outputs, {"sequences": sequences, "scores": scores})
    print(f"sequences {list(sequences.shape)}, scores {list(scores.shape)}")


def read(path: Path, vocab: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, int32 [B, T], masks of all ones where they are missing.

    Raises:
      UserError: no such file, an unknown name, ids outside the vocabulary, a mask of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError) as error:
        raise UserError(f"{path} is no .npz file: {error}") from None
    for name, array in arrays.items():
        if name not in KNOWN:
            raise UserError(f"{path}: there is no input {name!r}{nearest(name, KNOWN)}")
        if array.dtype.kind not in "iub" or array.ndim != 2 or not array.size:
            raise UserError(f"{path}: {name} is {array.dtype} {list(array.shape)}, but it must be "
                            "whole numbers [batch, length]")
    if "input_ids" not in arrays:
        raise UserError(f"{path}: there is no input_ids")
    for prefix in ("", "decoder_"):
        if f"{prefix}input_ids" in arrays:
            arrays |= _checked(path, prefix, arrays, vocab)
    return {name: array.astype(np.int32) for name, array in arrays.items()}


def _checked(path: Path, prefix: str, arrays: dict, vocab: int) -> dict:
    ids = arrays[f"{prefix}input_ids"]
    mask = arrays.get(f"{prefix}attention_mask", np.ones_like(ids))
    outside = ids[(ids < 0) | (ids >= vocab)]
    if outside.size:
        raise UserError(f"{path}: {prefix}input_ids holds {outside[0]}, which lies outside the "
                        f"vocabulary (0 to {vocab - 1})")
    if mask.shape != ids.shape or ((mask != 0) & (mask != 1)).any():
        raise UserError(f"{path}: {prefix}attention_mask must be 0 or 1 for each of the "
                        f"{list(ids.shape)} ids")
    if len(ids) != len(arrays["input_ids"]):
        raise UserError(f"{path}: {prefix}input_ids has {len(ids)} rows, input_ids "
                        f"{len(arrays['input_ids'])}; give as many")
    return {f"{prefix}attention_mask": mask}


def _batch(loaded, arrays: dict, given: dict) -> dict:
    """What generation begins from. An encoder-decoder's prompt begins with its start token."""
    ids, mask = arrays["input_ids"], arrays["attention_mask"]
    if "source_tokens" not in loaded.model.example():
        if extra := [name for name in arrays if name.startswith("decoder_")]:
            raise UserError(f"this model has one stack and does not read {extra[0]}; leave it out")
        return {"tokens": ids, "segments": mask}
    start = given.get("start", given.get("bos"))
    if start is None:
        start = loaded.experiment.objective.first(loaded.tokenizer)
    first = np.full((len(ids), 1), start, np.int32)
    tokens = arrays.get("decoder_input_ids", first)
    segments = arrays.get("decoder_attention_mask", np.ones_like(first))
    if (tokens[:, 0] != start).all():
        tokens = np.concatenate([first, tokens], 1)
        segments = np.concatenate([np.ones_like(first), segments], 1)
    return {"tokens": tokens, "segments": segments, "source_tokens": ids, "source_segments": mask}


def _counted(loaded, given: dict, width: int) -> dict:
    """Lengths as counts of new tokens behind a prompt of this width, padding included."""
    limit = loaded.model.spec.embedding.position.limit()
    usual = TOKENS if limit is None else max(1, min(TOKENS, limit - width))
    most = given["max_length"] - width if "max_length" in given else usual
    least = max(0, given["min_length"] - width) if "min_length" in given else 0
    given = {"tokens": most, "min_tokens": least, **given}
    if width > 1:  # there, nothing is forced behind a longer prompt
        given.pop("forced_bos", None)
    return given


def _write(path: Path, arrays: dict) -> None:
    """All or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
