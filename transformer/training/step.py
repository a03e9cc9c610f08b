"""The pure training step: state and batch in, state and metrics out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from transformer.training.average import moving


def start(params, optimizer, seed: int, average: float = 0.0) -> dict:
    """The state before the first step: {step, params, opt, key, skipped, in_a_row[, ema]}.

    Args:
      params: a model's parameters. optimizer: an optax transformation.
      seed: of the dropout and of whatever else an objective draws on the device.
      average: decay of the moving average of the parameters; 0 keeps none.
    """
    zeros = {name: jnp.zeros((), jnp.int32) for name in ("step", "skipped", "in_a_row")}
    state = {**zeros, "params": params, "opt": optimizer.init(params), "key": jax.random.key(seed)}
    return {**state, "ema": jax.tree.map(jnp.copy, params)} if average else state


def train_step(state, batch, *, apply, objective, optimizer, average: float = 0.0):
    """One update from one global batch, in slices whose sums are added.

    The weights of all slices are counted first, so that the gradient is exactly that of the whole
    batch however it is cut. An update whose loss or gradient is not finite is skipped: parameters
    and optimizer stay bitwise as they were, `skipped` and `in_a_row` count it.

    Args:
      state: as from `start`. batch: leaves [A, B/A, ...], A slices.
      apply: (params, batch, rng) -> outputs. objective: see `objectives.objective`.
      optimizer: an optax transformation. average: see `start`.

    Returns:
      The new state and {loss, grad_norm, in_a_row, and one entry for each term of the objective}.
    """
    key = jax.random.fold_in(state["key"], state["step"])
    totals = objective.weights(batch)

    @jax.named_scope("loss")
    def loss(params, part):
        terms = objective.loss(apply, params, part, key, True)
        return combine(terms, totals), {name: term.sum for name, term in terms.items()}

    def add(carry, part):
        (value, sums), grads = jax.value_and_grad(loss, has_aux=True)(state["params"], part)
        return jax.tree.map(jnp.add, carry, (value, sums, grads)), None

    first = jax.tree.map(lambda leaf: leaf[0], batch)
    if jax.tree.leaves(batch)[0].shape[0] == 1:
        (value, sums), grads = jax.value_and_grad(loss, has_aux=True)(state["params"], first)
    else:
        (shape, sums), _ = jax.eval_shape(loss, state["params"], first), None
        zero = lambda tree: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)
        (value, sums, grads), _ = jax.lax.scan(
            add, (zero(shape), zero(sums), zero(state["params"])), batch)
    metrics = {name: sums[name] / jnp.maximum(totals[name], 1) for name in sums}
    return update(state, grads, value, optimizer, average, metrics)


def combine(terms, totals):
    """Sum over the terms of coefficient * sum / total; a term nobody weighs counts as zero."""
    parts = [term.coefficient * term.sum / jnp.maximum(totals[name], 1)
             for name, term in terms.items() if term.coefficient]
    return sum(parts[1:], parts[0])


@jax.named_scope("optimizer")
def update(state, grads, loss, optimizer, average, metrics):
    """The state after these gradients, or as before where loss or gradients are not finite."""
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
    updates, opt = optimizer.update(grads, state["opt"], state["params"])
    params = keep(optax.apply_updates(state["params"], updates), state["params"])
    new = {**state, "step": state["step"] + 1, "params": params, "opt": keep(opt, state["opt"]),
           "skipped": state["skipped"] + ~finite,
           "in_a_row": jnp.where(finite, 0, state["in_a_row"] + 1)}
    if average:
        made = state["step"] - state["skipped"]
        new["ema"] = keep(moving(state["ema"], params, average, made), state["ema"])
    return new, {**metrics, "loss": loss, "grad_norm": norm, "in_a_row": new["in_a_row"]}


def evaluate_step(params, batch, key, *, apply, objective):
    """The objective's sums over one batch, without dropout: {term: Term}."""
    return objective.loss(apply, params, batch, key, False)
