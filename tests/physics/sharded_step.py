"""Runs the real training step on simulated devices and on one; prints what was different.

A program: simulated devices must be asked for before JAX starts, and would slow other tests down.
Its argument is a JSON list of [family, sizes of the mesh, slices]; it prints one JSON object each.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

ROWS, LENGTH, SOURCE, VOCAB, STEPS = 8, 24, 8, 384, 5
# of descent; heads that scale their stream have small gradients; ELECTRA counts one loss 50 fold
RATES = {"electra": 0.001, "palm": 0.5, "rnn": 0.5, "t5": 2.0}


def objective_of(spec):
    """What the family was trained for, as far as its heads tell."""
    from transformer.nn.model import SourceToTarget
    from transformer.objectives.masked_lm import MaskedLM
    from transformer.objectives.next_sentence import NextSentence
    from transformer.objectives.next_token import NextToken
    from transformer.objectives.replaced_token import ReplacedToken
    from transformer.objectives.sentence_order import SentenceOrder
    from transformer.objectives.sequence_to_sequence import SequenceToSequence

    heads = dict(spec.heads)
    if isinstance(spec, SourceToTarget):
        return SequenceToSequence(smoothing=0.1)
    for head, kind in {"replaced": ReplacedToken, "nsp": NextSentence, "sop": SentenceOrder,
                       "mlm": MaskedLM}.items():
        if head in heads:
            return kind()
    return NextToken(z=1e-4)


def batch_of(spec, objective) -> dict:
    """Packed rows with padding, as the objective prepares them."""
    import numpy as np

    from transformer.data.stream import stack
    from transformer.data.vocabulary import Bytes

    tokenizer, rng = Bytes().train(), np.random.default_rng(0)
    first = max(tokenizer.special.values()) + 1

    def side(size, lengths):
        segments = np.repeat([1, 2, 0], [*lengths, size - sum(lengths)]).astype(np.int32)
        tokens = rng.integers(first, tokenizer.size, size) * (segments > 0)
        positions = np.concatenate([np.arange(n) for n in (*lengths, size - sum(lengths))])
        return tokens.astype(np.int32), segments, positions.astype(np.int32)

    def example(n):
        size = LENGTH + objective.lookahead
        arrays = side(size, (size - 6 - n % 3, 4))
        row = dict(zip(("tokens", "segments", "positions"), arrays), index=np.int32(n))
        if "source_tokens" in objective.needs:
            arrays = side(SOURCE, (SOURCE - 4, 2 + n % 3))
            row |= dict(zip(("source_tokens", "source_segments", "source_positions"), arrays))
        if getattr(spec.embedding, "types", 0):
            row["types"] = (np.arange(size) > 5).astype(np.int32)
        if hasattr(objective, "relation"):
            row[objective.relation] = np.int32(n % 2)
        return objective.prepare(row, np.random.default_rng(n), tokenizer)

    return stack([example(n) for n in range(ROWS)])


def descent(rate: float):
    """Plain descent that keeps the gradients it was given as its state."""
    import jax
    import optax

    return optax.GradientTransformation(
        lambda params: jax.tree.map(jax.numpy.zeros_like, params),
        lambda grads, state, params: (jax.tree.map(lambda g: -rate * g, grads), grads))


def run(step, state, batch):
    """(losses of the steps, gradients of the first)."""
    import jax
    import numpy as np

    losses, first = [], None
    for _ in range(STEPS):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
        first = first or jax.tree.map(np.asarray, state["opt"])
    return losses, first


@functools.cache
def alone(name: str):
    """The family, its state before the first step, a batch, and how it goes on one device."""
    import jax
    from conftest import scattered
    from families import value

    from transformer.launch import place_batch
    from transformer.nn.door import Model
    from transformer.ops.placement import Mesh
    from transformer.training.step import start, train_step

    model = Model(value(name, vocab=VOCAB))
    objective = objective_of(model.spec)
    optimizer = descent(RATES.get(name, 0.05))
    batch = batch_of(model.spec, objective)
    step = functools.partial(train_step, objective=objective, optimizer=optimizer, average=0.5)
    state = start(jax.device_put(scattered(model.shapes())), optimizer, 1, average=0.5)
    one = Mesh(data=1).build(jax.devices()[:1])
    return model, state, batch, step, run(
        jax.jit(functools.partial(step, apply=model.apply)), state, place_batch(1, one, batch))


def measure(name: str, sizes: dict, slices: int) -> dict:
    import math

    import jax
    import numpy as np

    from transformer.launch import place_batch
    from transformer.ops.placement import Mesh
    from transformer.scaling.collectives import collectives
    from transformer.training.paths import named
    from transformer.training.sharding import state_shardings

    model, state, batch, step, (losses, grads) = alone(name)
    mesh = Mesh(**{"data": 1, **sizes}).build(jax.devices()[:math.prod(sizes.values())])
    step = functools.partial(step, apply=functools.partial(model.apply, scored=False))
    places = state_shardings(state, mesh)
    state, placed = jax.device_put(state, places), place_batch(slices, mesh, batch)
    with jax.set_mesh(mesh):
        program = jax.jit(step, out_shardings=(places, None)).lower(state, placed).compile()
        found, got = run(program, state, placed)

    def error(got, want):  # in units of what is allowed
        return float(np.abs(got - want).max() / max(1e-5 * np.abs(want).max(), 1e-6))

    share = lambda tree: (sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))
                          / sum(x.nbytes for x in jax.tree.leaves(tree)))
    return {
        "losses": losses, "sharded_losses": found,
        "errors": {path: error(leaf, named(grads)[path]) for path, leaf in named(got).items()},
        "shares": {part: share(state[part]) for part in ("params", "opt", "ema")},
        "shapes": {path: leaf.shape for path, leaf in named(state["params"]).items()},
        "collectives": [(one.kind, one.axes, one.times, [array.dims for array in one.arrays])
                        for one in collectives(program.as_text(), dict(mesh.shape))],
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(json.dumps([measure(*cell) for cell in json.loads(sys.argv[1])]))
