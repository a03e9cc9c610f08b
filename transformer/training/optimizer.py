"""Optimizers: specs that build an optax transformation.

All share one frame. Gradients of the trained parameters are clipped by their global norm, a rule
turns them into a direction, decoupled weight decay is added, and the parameter moves by minus the
learning rate times that. The state is `{"count": updates made, "rule": the rule's own state}`.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax

from transformer.error import UserError
from transformer.spec import Count, Spec
from transformer.training import paths
from transformer.training.adafactor import scale_by_adafactor
from transformer.training.adam import scale_by_step_correction, scale_by_uncorrected_moments
from transformer.training.schedule import Schedule


class Optimizer(Spec):
    """Fields that every optimizer has.

    decay: decoupled weight decay, multiplied by the learning rate. Never on the paths of
      `no_decay`, nor on what is a vector or scalar in one layer.
    clip: largest global norm of the gradients; None = no clipping.
    freeze: regular expressions on paths; such parameters keep their bits and have no state.
    layer_decay: factor of the learning rate from one layer to the layer below (ELECTRA:
      layer_decay^(L + 2 - depth), depth 0 = embedding, 1..L = layers, L + 2 = heads).

    Raises:
      UserError: a value out of range, a pattern that is no regular expression, or (from `init`) a
        freeze pattern without a parameter, or no parameter left to train.
    """
    learning_rate: Schedule
    decay: float = 0.0
    no_decay: tuple[str, ...] = paths.NO_DECAY
    clip: float | None = 1.0
    freeze: tuple[str, ...] = ()
    layer_decay: float = 1.0

    def check(self):
        kind = type(self).__name__
        for name in ("b1", "b2", "momentum"):
            if not 0 <= getattr(self, name, 0) < 1:
                raise UserError(f"{kind}.{name} is {getattr(self, name)}, but it must be in [0, 1)")
        for name in ("decay", "eps"):
            if getattr(self, name, 0) < 0:
                raise UserError(f"{kind}.{name} is {getattr(self, name)}, but cannot be negative")
        if self.clip is not None and self.clip <= 0:
            raise UserError(f"{kind}.clip is {self.clip}; give a norm above 0, or none")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"{kind}.layer_decay is {self.layer_decay}, but it must be in (0, 1]")
        paths.check_patterns(self.no_decay, f"{kind}.no_decay")
        paths.check_patterns(self.freeze, f"{kind}.freeze")

    def direction(self) -> optax.GradientTransformation:
        """Gradients -> the direction that the learning rate multiplies, without weight decay."""
        raise NotImplementedError

    def rule(self) -> optax.GradientTransformation:
        """The direction with weight decay."""
        if not self.decay:
            return self.direction()
        mask = lambda tree: paths.decayed(tree, self.no_decay)
        return optax.chain(self.direction(), optax.add_decayed_weights(self.decay, mask))

    def build(self) -> optax.GradientTransformation:
        """`init(params)` and `update(gradients, state, params)`; all are nested dicts."""
        rule = self.rule() if self.clip is None else optax.chain(
            optax.clip_by_global_norm(self.clip), self.rule())

        def init(params):
            paths.require_use(params, self.freeze, f"{type(self).__name__}.freeze")
            trained = paths.without(params, self.freeze)
            if not trained:
                raise UserError(f"{type(self).__name__}.freeze leaves no parameter to train")
            return {"count": jnp.zeros([], jnp.int32), "rule": rule.init(trained)}

        def update(gradients, state, params):
            gradients, trained = (paths.without(t, self.freeze) for t in (gradients, params))
            directions, inner = rule.update(gradients, state["rule"], trained)
            updates = self._step(directions, params, self.learning_rate(state["count"]))
            return updates, {"count": state["count"] + 1, "rule": inner}

        return optax.GradientTransformation(init, update)

    def _step(self, directions, params, rate):
        factors, moved = _factors(params, self.layer_decay), paths.named(directions)
        # minus zero: adding plus zero would turn a parameter of -0.0 into 0.0
        still = {p: -jnp.zeros_like(x) for p, x in paths.named(params).items() if p not in moved}
        moved = {p: (-rate * factors[p] * x).astype(x.dtype) for p, x in moved.items()}
        return paths.like(params, still | moved)


def _factors(params, layer_decay: float) -> dict:
    """{path: factor of the learning rate}, a column of factors for a stacked leaf."""
    leaves = paths.named(params)
    if layer_decay == 1:
        return dict.fromkeys(leaves, 1.0)
    heads = paths.layers(params) + 2.0
    factors = {p: layer_decay ** (heads - d) for p, d in paths.depths(params).items()}
    return {p: jnp.float32(f).reshape(-1, *(1,) * (leaves[p].ndim - 1)) if hasattr(f, "shape")
            else f for p, f in factors.items()}


class AdamW(Optimizer):
    """Loshchilov 2019, or BERT's own (`correct_bias=False, eps=1e-6, decay=0.01`).

    Without correction the first steps are some three to seven times larger: warmup hides it.
    """
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    correct_bias: bool = True

    def direction(self):
        build = optax.scale_by_adam if self.correct_bias else scale_by_uncorrected_moments
        return build(self.b1, self.b2, self.eps)


class GPT1Adam(Optimizer):
    """GPT-1's Adam: the bias correction scales the whole step, its weight decay included.

    p -= rate * sqrt(1 - b2^t) / (1 - b1^t) * (m / (sqrt(v) + eps) + decay * p), t = 1 at first.
    """
    decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def direction(self):
        return scale_by_uncorrected_moments(self.b1, self.b2, self.eps)

    def rule(self):
        return optax.chain(super().rule(), scale_by_step_correction(self.b1, self.b2))


class Adafactor(Optimizer):
    """Shazeer 2018 as T5 uses it: no momentum, steps relative to the parameter's own scale."""
    clip: float | None = None
    smallest: Count = 128  # both of a matrix's dimensions reach it, or its moments stay whole

    def direction(self):
        return scale_by_adafactor(self.smallest)


class Lion(Optimizer):
    """Chen 2023: the sign of an interpolated momentum."""
    b1: float = 0.9
    b2: float = 0.99

    def direction(self):
        return optax.scale_by_lion(self.b1, self.b2)


class SGD(Optimizer):
    """Gradient descent with momentum, or Nesterov's."""
    momentum: float = 0.0
    nesterov: bool = False

    def direction(self):
        return optax.trace(self.momentum, self.nesterov) if self.momentum else optax.identity()
