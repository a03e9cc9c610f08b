"""`python -m transformer fill CHECKPOINT --inputs=FILE`: fills each <mask> of each line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from transformer.error import UserError, require_folder
from transformer.verbs.lines import batches, read_lines

MASK = "<mask>"


def fill(loaded, texts: list[str], count: int = 5) -> list[list[list[tuple[str, float]]]]:
    """The likeliest pieces for every mask.

    Args:
      loaded: from `transformer.load`, a masked language model. texts: with one or more "<mask>".
      count: pieces for each mask; the whole vocabulary where it has fewer.

    Returns:
      For each text, for each mask in order, `count` pairs (piece, probability), likeliest first.

    Raises:
      UserError: a text without a mask or longer than the model's positions, a model that was not
        trained on masks, a tokenizer without a piece for them, or a count below 1.
    """
    import jax

    from transformer.objectives.objective import special

    if count < 1:
        raise UserError(f"fill was asked for {count} pieces a mask; ask for at least 1 (--count)")
    model, tokenizer = loaded.model, loaded.tokenizer
    if "mlm" not in dict(model.spec.heads):
        raise UserError("fill needs a masked language model; this checkpoint has the heads "
                        f"{', '.join(dict(model.spec.heads)) or 'none'}")
    mask = special(tokenizer, "mask")
    count, carried = min(count, tokenizer.size), _carry_spaces(tokenizer)
    rows = [loaded.framed(_row(text, tokenizer, mask, carried, n))
            for n, text in enumerate(texts, 1)]

    @jax.jit
    def run(params, batch):
        logits_BTV = model.apply(params, batch)["mlm"][..., :tokenizer.size]
        return jax.lax.top_k(jax.nn.softmax(logits_BTV.astype("float32")), count)

    found, limit = [], model.spec.embedding.position.limit()
    for real, batch in batches(rows, limit):
        chances, pieces = jax.device_get(run(loaded.params, batch))
        for n in range(real):
            places = np.flatnonzero(batch["tokens"][n] == mask)
            found.append([[(tokenizer.decode([piece]) or tokenizer.piece(int(piece)), float(p))
                           for piece, p in zip(pieces[n, t], chances[n, t])] for t in places])
    return found


def _carry_spaces(tokenizer) -> bool:
    """Whether a piece can hold the space before it: two of it then decode with one between them."""
    return any(" " in tokenizer.decode([n, n]).strip() for n in range(tokenizer.size))


def _row(text: str, tokenizer, mask: int, carried: bool, line: int) -> list[int]:
    """The ids of a text in which "<mask>" stands for the special piece, and for the space before
    it where pieces carry theirs: in training no row had a space alone before a mask."""
    if MASK not in text:
        raise UserError(f"line {line}: there is no {MASK} in {text!r:.60}")
    *before, last = text.split(MASK)
    ids: list[int] = []
    for part in before:
        ids += tokenizer.encode(part.removesuffix(" ") if carried else part)
        ids.append(mask)
    return ids + tokenizer.encode(last)


def command(arguments: list[str]) -> int:
    """Prints every line with its likeliest fillings; `--json` writes them."""
    parser = argparse.ArgumentParser(prog="python -m transformer fill", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a run's directory or one step's")
    parser.add_argument("--inputs", type=Path, required=True,
                        help=f"a text with {MASK} on each line, UTF-8")
    parser.add_argument("--count", type=int, default=5, help="pieces a mask (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the fillings here as well")
    options = parser.parse_args(arguments)
    texts = read_lines(options.inputs)

    from transformer import load

    require_folder(options.json)
    found = fill(load(options.checkpoint), texts, options.count)
    for text, masks in zip(texts, found):
        print(text)
        for n, pieces in enumerate(masks, 1):
            print(f"  mask {n}: " + "  ".join(f"{piece!r} {p:.3f}" for piece, p in pieces))
    if options.json:
        lines = [{"text": text, "masks": masks} for text, masks in zip(texts, found)]
        options.json.write_text(json.dumps(lines, ensure_ascii=False, indent=1) + "\n",
                                encoding="utf-8")
    return 0
