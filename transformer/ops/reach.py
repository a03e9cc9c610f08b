"""Reach: which keys a query may look at, as a predicate on positions, closed under & and |."""

from __future__ import annotations

import jax.numpy as jnp

from transformer.spec import Natural, Spec


class Reach(Spec):
    """Called with positions i (queries) and j (keys) that broadcast, and with whether a key belongs
    to its document's prefix; returns booleans."""

    def __call__(self, i, j, prefix):
        raise NotImplementedError

    def __and__(self, other: Reach) -> Reach:
        return Both(one=self, other=other)

    def __or__(self, other: Reach) -> Reach:
        return Either(one=self, other=other)

    def slots(self, first: int, last: int, keys: int) -> tuple[int, int]:
        """[start, stop) holds every key that queries in the slots [first, last) of a row may see.

        A bound, not the reach itself. It relies on positions that grow along a document.
        """
        return 0, keys


class Everywhere(Reach):
    """Every key (encoders, Devlin 2019 §3.1)."""

    def __call__(self, i, j, prefix):
        return jnp.ones(jnp.broadcast_shapes(i.shape, j.shape), bool)


class Causal(Reach):
    """Keys at or before the query (decoders, Vaswani 2017 §3.2.3)."""

    def __call__(self, i, j, prefix):
        return j <= i

    def slots(self, first, last, keys):
        return 0, min(last, keys)


class Window(Reach):
    """Keys at most `width` positions away, on either side."""

    width: Natural

    def __call__(self, i, j, prefix):
        return abs(i - j) <= self.width

    def slots(self, first, last, keys):
        return max(0, first - self.width), min(last + self.width, keys)


class Prefix(Reach):
    """Keys of the prefix, before or after the query (Raffel 2020 §3.2.1)."""

    def __call__(self, i, j, prefix):
        shape = jnp.broadcast_shapes(i.shape, j.shape, jnp.shape(prefix))
        return jnp.broadcast_to(prefix, shape)


class Both(Reach):
    """What both see."""

    one: Reach
    other: Reach

    def __call__(self, i, j, prefix):
        return self.one(i, j, prefix) & self.other(i, j, prefix)

    def slots(self, first, last, keys):
        starts, stops = zip(*(r.slots(first, last, keys) for r in (self.one, self.other)))
        return max(starts), max(max(starts), min(stops))


class Either(Reach):
    """What one of the two sees."""

    one: Reach
    other: Reach

    def __call__(self, i, j, prefix):
        return self.one(i, j, prefix) | self.other(i, j, prefix)

    def slots(self, first, last, keys):
        starts, stops = zip(*(r.slots(first, last, keys) for r in (self.one, self.other)))
        return min(starts), max(stops)
