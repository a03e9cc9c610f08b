"""Which keys a query sees: the exact sets, through whole attention and tiles, and bounds of them.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.nn.context import Context, Run
from transformer.ops import tiles
from transformer.ops.attention import attend
from transformer.ops.reach import Both, Causal, Either, Everywhere, Prefix, Window
from transformer.spec import from_json, to_json

T = 11
# Documents of each row, in tokens, and how many of each are its prefix; the rest is padding.
ROWS = (((11,), (4,)), ((5, 4), (2, 3)), ((1, 2, 8), (0, 2, 7)), ((3, 3, 3), (3, 0, 1)))


def laid(field):
    """[B, T] of what `field(number, place, prefix)` says of each token of a document."""
    rows = []
    for sizes, prefixes in ROWS:
        row = [field(n, i, prefix) for n, (size, prefix) in enumerate(zip(sizes, prefixes))
               for i in range(size)]
        rows.append(row + [0] * (T - len(row)))
    return np.array(rows)


DOCUMENT = laid(lambda n, i, prefix: n + 1)
PLACE = laid(lambda n, i, prefix: i)
PREFIX = laid(lambda n, i, prefix: i < prefix)

NEAR = Causal() & Window(width=2)
SEEN = {  # of a query at i and a key at j in one document, and whether the key is of the prefix
    Everywhere(): lambda i, j, prefix: True,
    Causal(): lambda i, j, prefix: j <= i,
    Window(width=2): lambda i, j, prefix: j in range(i - 2, i + 3),
    Window(width=0): lambda i, j, prefix: j == i,
    NEAR: lambda i, j, prefix: j in (i - 2, i - 1, i),
    Causal() | Prefix(): lambda i, j, prefix: j <= i or prefix,
    NEAR | (Window(width=3) & Prefix()): lambda i, j, prefix: (
        j in (i - 2, i - 1, i) or (abs(i - j) <= 3 and prefix)),
}


def context():
    place, document = jnp.asarray(PLACE), jnp.asarray(DOCUMENT)
    return Context(Run(), place, place, document, document, prefix_BS=jnp.asarray(PREFIX > 0))


@pytest.mark.parametrize("reach", SEEN, ids=repr)
def test_a_query_sees_exactly_its_keys(monkeypatch, reach):
    """Where value s is the s-th unit vector, attention gives its own probabilities."""
    monkeypatch.setattr(tiles, "QUERIES", 4)  # three tiles a row
    B = len(ROWS)
    q_BTHK = jnp.asarray(np.random.default_rng(0).standard_normal((B, T, 2, T)), jnp.float32)
    v_BSHK = jnp.tile(jnp.eye(T)[None, :, None], (B, 1, 2, 1))
    see_BTS = context().sight(reach).see()
    for attention, more in ((attend, ()), (tiles.attend_in_tiles, (None, 0.0, reach))):
        run = jax.jit(lambda q, v, see: attention(q, q, v, see, 1.0, *more))
        p_BTHS = np.asarray(run(q_BTHK, v_BSHK, see_BTS))
        for b, t in np.argwhere(DOCUMENT > 0):  # nothing reads what padding sees
            wanted = [DOCUMENT[b, s] == DOCUMENT[b, t]
                      and SEEN[reach](PLACE[b, t], PLACE[b, s], bool(PREFIX[b, s]))
                      for s in range(T)]
            np.testing.assert_array_equal(p_BTHS[b, t] > 0, [wanted] * 2)


def test_without_a_prefix_no_key_is_of_it():
    bare = dataclasses.replace(context(), prefix_BS=None)
    see = lambda context, reach: np.asarray(context.sight(reach).see())
    np.testing.assert_array_equal(see(bare, Causal() | Prefix()), see(context(), Causal()))
    assert not bare.sight(Prefix()).see().any()


def test_and_or_are_intersection_and_union():
    see = lambda reach: np.asarray(context().sight(reach).see())
    for one, other in itertools.combinations(SEEN, 2):
        np.testing.assert_array_equal(see(one & other), see(one) & see(other))
        np.testing.assert_array_equal(see(one | other), see(one) | see(other))
        np.testing.assert_array_equal(see(other & one), see(one & other))
    tree = (Causal() & Window(width=2)) | Prefix()
    assert tree == Either(one=Both(one=Causal(), other=Window(width=2)), other=Prefix())
    assert from_json(to_json(tree)) == tree


def drawn(draw, depth=2):
    """A random tree of reaches."""
    kinds = [Everywhere(), Causal(), Prefix(), Window(width=int(draw.integers(0, 6)))]
    if not depth or draw.random() < 0.3:
        return kinds[draw.integers(4)]
    one, other = drawn(draw, depth - 1), drawn(draw, depth - 1)
    return one & other if draw.random() < 0.5 else one | other


def test_no_bound_cuts_a_key_that_is_seen():
    """Documents packed in any way, with positions that grow by any steps, and any tile."""
    draw = np.random.default_rng(0)
    cut, keys = 0, 16
    for _ in range(400):
        document = np.sort(draw.integers(0, 3, keys))
        steps = draw.integers(1, 4, keys)
        begins = np.searchsorted(document, document)
        place = steps.cumsum() - steps.cumsum()[begins]
        reach = drawn(draw)
        seen = np.asarray(reach(place[:, None], place[None], draw.random((1, keys)) < 0.4))
        seen = seen & (document[:, None] == document)
        first = int(draw.integers(0, keys))
        last = int(draw.integers(first + 1, keys + 1))
        start, stop = reach.slots(first, last, keys)
        assert 0 <= start <= stop <= keys
        columns = np.flatnonzero(seen[first:last].any(0))
        assert columns.size == 0 or (start <= columns[0] and columns[-1] < stop), (reach, place)
        cut += keys - (stop - start)
    assert cut > 500  # and they do bound something


@pytest.mark.parametrize("reach,wanted", [
    (Everywhere(), (0, 100)), (Causal(), (0, 50)), (Window(width=3), (37, 53)),
    (Causal() & Window(width=3), (37, 50)), (Causal() | Window(width=3), (0, 53)),
    (Causal() | Prefix(), (0, 100)), (Causal() & Prefix(), (0, 50))])
def test_bounds_are_tight(reach, wanted):
    assert reach.slots(40, 50, 100) == wanted
