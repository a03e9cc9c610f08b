"""`python -m transformer embed CHECKPOINT --inputs=FILE`: one vector for each line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from transformer.error import UserError, require_folder
from transformer.verbs.lines import batches, read_lines


def embed(loaded, texts: list[str], pooling: str = "mean") -> np.ndarray:
    """Sentence vectors, float32 [texts, D].

    Args:
      loaded: from `transformer.load`. texts: one or more.
      pooling: "mean" of the last layer over the text's tokens, or "first": what the model's pooler
        reads at the first position.

    Raises:
      UserError: a text is longer than the model's positions, the model has two stacks, or pooling
        is "first" in a decoder, whose first position has seen nothing of the text.
    """
    import jax

    from transformer.nn.model import Decoder

    model = loaded.model
    if "source_tokens" in model.example():
        raise UserError("embed reads models of one stack; this checkpoint is an encoder-decoder")
    if pooling == "first" and isinstance(model.spec, Decoder):
        raise UserError("in this checkpoint, a decoder, the first position sees nothing of the "
                        "text; use --pooling=mean")

    @jax.jit
    def run(params, batch):
        outputs = model.apply(params, batch)
        kept_BT1 = (batch["segments"] > 0)[..., None].astype("float32")
        mean = (outputs["hidden"] * kept_BT1).sum(1) / kept_BT1.sum(1).clip(1)
        return mean if pooling == "mean" else outputs["pooled"]

    rows = [loaded.framed(ids) for ids in loaded.tokenizer.encode_batch(texts)]
    limit = model.spec.embedding.position.limit()
    made = [np.asarray(run(loaded.params, batch))[:real] for real, batch in batches(rows, limit)]
    return np.concatenate(made)


def command(arguments: list[str]) -> int:
    """Writes the vectors as .npy, or prints them as JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m transformer embed", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a run's directory or one step's")
    parser.add_argument("--inputs", type=Path, required=True, help="a text on each line, UTF-8")
    parser.add_argument("--outputs", type=Path, metavar="OUT.npy", help="float32 [lines, D] "
                        "(default: one JSON list a line on the terminal)")
    parser.add_argument("--pooling", choices=("mean", "first"), default="mean",
                        help="mean over the tokens, or the pooler's vector (default: %(default)s)")
    options = parser.parse_args(arguments)
    texts = read_lines(options.inputs)

    from transformer import load

    require_folder(options.outputs)
    vectors = embed(load(options.checkpoint), texts, options.pooling)
    if options.outputs:
        made = options.outputs
        made = made if made.suffix == ".npy" else Path(f"{made}.npy")  # as np.save would
        np.save(made, vectors)
        print(f"{made}: {vectors.shape[0]} vectors of {vectors.shape[1]}")
    else:
        for vector in vectors:
            print(json.dumps([round(float(x), 6) for x in vector]))
    return 0
