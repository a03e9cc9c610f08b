"""Token ids to token ids, as Hugging Face's `generate`: the door of `generate` for arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from transformer.error import UserError
from transformer.verbs import choosing
from transformer.verbs.generation_config import FILES

TOKENS = 20  # new ones, as there
KNOWN = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask")


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
    from transformer.interop.array_files import read_inputs, write_outputs

    arrays = _sides(read_inputs(inputs), loaded.model.spec.embedding.vocab)
    batch = _batch(loaded, arrays, given)
    prompt, special = batch["tokens"], loaded.tokenizer.special
    given, choose = _counted(loaded, given, prompt.shape[1]), choosing.choice(given)
    eos = given.get("eos", (special["eos"],) if "eos" in special else ())
    pad = given.get("pad", eos[0] if eos else 0)
    if hasattr(choose, "width") and eos:
        pad = pad or eos[0]  # as they do: searched answers are not padded with a token 0
    theirs = any((Path(loaded.path) / name).is_file() for name in FILES)
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
    write_outputs(outputs, {"sequences": sequences, "scores": scores})


def _sides(arrays: dict, vocab: int) -> dict[str, np.ndarray]:
    """The arrays int32 [B, T], masks of all ones where they are missing."""
    from transformer.interop.arrays import require_rows, spread, within

    sides, rows = {}, np.atleast_1d(arrays["input_ids"]).shape[0]
    for name in arrays:
        if name not in KNOWN:
            raise UserError(f"generate does not read {name}; leave it out")
    for prefix in ("", "decoder_"):
        ids = arrays.get(f"{prefix}input_ids")
        if ids is None:
            continue
        require_rows(f"{prefix}input_ids", ids, rows)
        within(f"{prefix}input_ids", ids, vocab, "the vocabulary")
        mask = arrays.get(f"{prefix}attention_mask", np.ones_like(ids))
        within(f"{prefix}attention_mask", mask, 2, "0 and 1")
        mask = spread(f"{prefix}attention_mask", mask, ids.shape)
        sides |= {f"{prefix}input_ids": ids, f"{prefix}attention_mask": mask}
    return {name: array.astype(np.int32) for name, array in sides.items()}


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
    choosing.require_ids({"start": start}, loaded.model.spec.embedding.vocab)
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
    given = {"tokens": most, **given}
    if given.get("min_length", 0) > width and "min_tokens" not in given:
        given["min_tokens"] = given["min_length"] - width
    if width > 1:  # there, nothing is forced behind a longer prompt
        given.pop("forced_bos", None)
    return given
