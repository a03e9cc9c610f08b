"""Reach: which keys a query may look at, as a predicate on positions, closed under & and |."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from transformer.spec import Natural, Spec


class Reach(Spec):
    """Called with positions i (queries) and j (keys) that broadcast, and with whether a key belongs
    to its document's prefix; returns booleans.

    relative: only i - j decides, so that slots of a row serve as well as positions of a document.
    by_row: the prefix of a row decides, so that rows differ.
    backward: no key after the query is seen.
    """

    relative: ClassVar[bool] = True
    by_row: ClassVar[bool] = False
    backward: ClassVar[bool] = False

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
        return (i == i) & (j == j)  # of numpy's arrays too, which masks of kernels are made from


class Causal(Reach):
    """Keys at or before the query (decoders, Vaswani 2017 §3.2.3)."""

    backward: ClassVar[bool] = True

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


class Global(Reach):
    """The first `count` tokens of a document see all of it and are seen by all (Beltagy 2020 §3.1,
    with the global tokens in front)."""

    count: Natural
    relative: ClassVar[bool] = False

    def __call__(self, i, j, prefix):
        return (i < self.count) | (j < self.count)


class Prefix(Reach):
    """Keys of the prefix, before or after the query (Raffel 2020 §3.2.1)."""

    by_row: ClassVar[bool] = True

    def __call__(self, i, j, prefix):
        shape = jnp.broadcast_shapes(i.shape, j.shape, jnp.shape(prefix))
        return jnp.broadcast_to(prefix, shape)


class Pairing(Reach):
    """Base of what is made of two."""

    one: Reach
    other: Reach

    @property
    def relative(self):
        return self.one.relative and self.other.relative

    @property
    def by_row(self):
        return self.one.by_row or self.other.by_row


class Both(Pairing):
    """What both see."""

    @property
    def backward(self):
        return self.one.backward or self.other.backward

    def __call__(self, i, j, prefix):
        return self.one(i, j, prefix) & self.other(i, j, prefix)

    def slots(self, first, last, keys):
        starts, stops = zip(*(r.slots(first, last, keys) for r in (self.one, self.other)))
        return max(starts), max(max(starts), min(stops))


class Either(Pairing):
    """What one of the two sees."""

    @property
    def backward(self):
        return self.one.backward and self.other.backward

    def __call__(self, i, j, prefix):
        return self.one(i, j, prefix) | self.other(i, j, prefix)

    def slots(self, first, last, keys):
        starts, stops = zip(*(r.slots(first, last, keys) for r in (self.one, self.other)))
        return min(starts), max(stops)
