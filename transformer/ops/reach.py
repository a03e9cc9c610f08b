"""Reach: which keys a query may look at, as a predicate on positions."""

import jax.numpy as jnp

from transformer.spec import Spec


class Reach(Spec):
    """Called with positions i (queries) and j (keys) that broadcast; returns booleans."""

    def __call__(self, i, j):
        raise NotImplementedError


class Everywhere(Reach):
    """Every key (encoders, Devlin 2019 §3.1)."""

    def __call__(self, i, j):
        return jnp.ones(jnp.broadcast_shapes(i.shape, j.shape), bool)


class Causal(Reach):
    """Keys at or before the query (decoders, Vaswani 2017 §3.2.3)."""

    def __call__(self, i, j):
        return j <= i
