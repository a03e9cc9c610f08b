"""Reach: which keys a query may look at, as a predicate on positions."""

import jax.numpy as jnp

from transformer.spec import Spec


class Reach(Spec):
    """Called with positions i (queries) and j (keys) that broadcast; returns booleans."""

    def __call__(self, i, j):
        raise NotImplementedError

    def slots(self, first: int, last: int, keys: int) -> tuple[int, int]:
        """[start, stop) holds every key that queries in the slots [first, last) of a row may see.

        A bound, not the reach itself. It relies on positions that grow along a document.
        """
        return 0, keys


class Everywhere(Reach):
    """Every key (encoders, Devlin 2019 §3.1)."""

    def __call__(self, i, j):
        return jnp.ones(jnp.broadcast_shapes(i.shape, j.shape), bool)


class Causal(Reach):
    """Keys at or before the query (decoders, Vaswani 2017 §3.2.3)."""

    def __call__(self, i, j):
        return j <= i

    def slots(self, first, last, keys):
        return 0, min(last, keys)
