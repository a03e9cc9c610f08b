"""LAMB (You 2020) as ALBERT was trained with it: without bias correction.

optax's rule corrects the moments and takes one norm of a whole leaf; a leaf here may hold all
layers of a segment, each of which has a trust ratio of its own in the published recipe.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from transformer.training import paths
from transformer.training.adam import scale_by_uncorrected_moments
from transformer.training.optimizer import Optimizer


class LAMB(Optimizer):
    """ALBERT's: u = m / (sqrt(v) + eps) + decay * p; p -= rate * ratio * u, ratio = |p| / |u|.

    Where a norm is 0 the ratio is 1, and so it is for what has no weight decay. A parameter that
    layers share is one parameter with one ratio.
    """
    decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-6

    def direction(self):
        return scale_by_uncorrected_moments(self.b1, self.b2, self.eps)

    def rule(self):
        return optax.chain(super().rule(), scale_by_trust(self.no_decay))


def scale_by_trust(exclude: tuple[str, ...]) -> optax.GradientTransformation:
    """Multiplies each layer's step u by |p| / |u|, but not of paths that `exclude` matches.

    Vectors and scalars of one layer keep their step as well. No state.
    """
    def update(steps, state, params):
        scaled = paths.named(steps)
        trusted, parameters = (paths.named(t) for t in (paths.decayed(params, exclude), params))
        for path, step in scaled.items():
            if trusted[path]:
                scaled[path] = step * _ratio(parameters[path], step, int(paths.stacked(path)))
        return paths.like(steps, scaled), state

    return optax.GradientTransformation(lambda params: (), update)


def _ratio(parameter, step, lead: int) -> jax.Array:
    """|p| / |u| over all dimensions but the first `lead`, which it keeps; 1 where one of them is 0.
    """
    axes = tuple(range(lead, step.ndim))
    length = lambda x: jnp.sqrt(jnp.sum(jnp.square(x), axes, keepdims=True))
    p, u = length(parameter), length(step)
    return jnp.where((p > 0) & (u > 0), p / jnp.where(u > 0, u, 1), 1)
