"""PaLM's optimizer (Chowdhery 2022 §5): Adafactor without factoring, with momentum and decay."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from transformer.training import paths
from transformer.training.adafactor import scale_by_adafactor
from transformer.training.optimizer import Optimizer
from transformer.training.schedule import InverseRoot, Schedule


class PaLMAdafactor(Optimizer):
    """m = b1 * m + (1 - b1) * rate * x; p -= m + decay * rate^2 * p, x as in `scale_by_adafactor`.

    The paper names the rate, both moments, the clipping and rate^2 as the weight decay; that the
    momentum is one of finished steps is so in the published Adafactors.
    """
    learning_rate: Schedule = InverseRoot()
    decay: float = 1.0
    b1: float = 0.9

    def direction(self):
        return scale_by_adafactor(smallest=None)

    def rule(self):
        mask = lambda tree: paths.decayed(tree, self.no_decay)
        return optax.chain(self.direction(),
                           average_steps(self.b1, self.learning_rate, self.decay, mask))


def average_steps(b1: float, schedule: Schedule, decay: float, mask):
    """Directions -> their mean, each with the rate of its time, plus decay * rate * p.

    What multiplies the result by the rate finds the mean of the finished steps and a weight decay
    by the square of the rate. Where the rate is 0 nothing moves. State: {"count", "mean"}.
    """
    def init(params):
        return {"count": jnp.zeros([], jnp.int32), "mean": jax.tree.map(jnp.zeros_like, params)}

    def update(directions, state, params):
        rate = schedule(state["count"])
        mean = jax.tree.map(lambda m, x: b1 * m + (1 - b1) * rate * x, state["mean"], directions)
        per_rate = jnp.where(rate > 0, 1 / jnp.where(rate > 0, rate, 1), 0)
        steps = jax.tree.map(lambda m, p, decays: m * per_rate + decay * rate * p * decays,
                             mean, params, mask(params))
        return steps, {"count": state["count"] + 1, "mean": mean}

    return optax.GradientTransformation(init, update)
