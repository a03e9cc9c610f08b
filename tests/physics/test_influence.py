"""Which tokens a position depends on, read off the gradient: exactly those it may see."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ALL, DECODERS, ENCODERS, TRANSLATORS, cells

from transformer.nn.stack import Segment, Stack
from transformer.ops.reach import Causal, Window
from transformer.spec import override

PAST = cells(DECODERS + TRANSLATORS, ("gpt2", "gpt3", "palm", "rnn", "t5"))
PACKING = cells(ALL, ("gpt2", "gpt3", "palm", "modernbert", "t5"))


@pytest.fixture(scope="module")
def influence(tiny):
    """influence(family or Tiny, batch) -> booleans [B, T, B, T] and, of the source, [B, T, B, S].
    """
    def jacobian(model, params, batch):
        probe = jax.random.normal(jax.random.key(3), (1, 1, model.spec.embedding.width))
        part = "discriminator" if "discriminator" in params else None  # a pair's stream is its
        owner = params[part] if part else params

        def stream(table_VD):
            mine = {**owner, "embedding": {**owner["embedding"], "tokens": table_VD}}
            hidden_BTD = model.apply({**params, part: mine} if part else mine, batch)["hidden"]
            return (hidden_BTD * probe).sum(-1)

        # not jacrev, which is a vmap: jaxlib 0.10.2 for CPU gets sums over broadcast arrays of five
        # dimensions wrong (its "ynn" fusions)
        hidden_BT, pull = jax.vjp(stream, owner["embedding"]["tokens"])
        each = jnp.eye(hidden_BT.size).reshape(-1, *hidden_BT.shape)
        slope_NV = jax.lax.map(lambda one_BT: jnp.abs(pull(one_BT)[0]).max(-1), each)
        return slope_NV.reshape(*hidden_BT.shape, -1)

    run = jax.jit(jacobian, static_argnums=0)

    def influence(name, **changed):
        small = tiny(name) if isinstance(name, str) else name
        batch = {**small.batch, **{k: jnp.asarray(v, jnp.int32) for k, v in changed.items()}}
        slope_BTV = np.asarray(run(small.model, small.params, batch))
        return tuple(slope_BTV[:, :, np.asarray(batch[side])] != 0
                     for side in ("tokens", "source_tokens") if side in batch)

    return influence


def own(seen):
    """The part of [B, T, B, S] within rows, after a check that rows never mix."""
    rows = np.arange(len(seen))
    mixed = seen.copy()
    mixed[rows, :, rows] = False
    assert not mixed.any()
    return seen[rows, :, rows]


def same(query, key):
    return np.asarray(query)[:, :, None] == np.asarray(key)[:, None]


@pytest.mark.parametrize("name", PAST)
def test_decoder_sees_the_past_and_never_the_future(influence, name):
    seen_BTS = own(influence(name)[0])
    past_TS = np.tril(np.ones(seen_BTS.shape[1:], bool))
    assert (seen_BTS == past_TS).all()


@pytest.mark.parametrize("name", cells(ENCODERS, ("modernbert",)))
def test_encoder_sees_everything(influence, name):
    assert own(influence(name)[0]).all()


@pytest.mark.parametrize("name", cells(TRANSLATORS, ("t5",)))
def test_decoder_sees_the_whole_source(influence, name):
    assert own(influence(name)[1]).all()


@pytest.mark.parametrize("reach,behind,ahead", [
    (Causal() & Window(width=2), 4, 0),
    pytest.param(Window(width=2), 4, 4, marks=pytest.mark.full),
    pytest.param(Window(width=0), 0, 0, marks=pytest.mark.full)])
def test_two_layers_see_twice_as_far(tiny, build, influence, reach, behind, ahead):
    spec = tiny("gpt2").spec
    block = spec.stack.segments[0].pattern[0]
    (name, attention), *others = block.sublayers
    near = (name, dataclasses.replace(attention, reach=reach))
    block = dataclasses.replace(block, sublayers=(near, *others))
    stack = Stack(segments=(Segment(pattern=(block,), repeats=2),))
    distance = np.arange(12)[:, None] - np.arange(12)
    seen_BTS = own(influence(build(dataclasses.replace(spec, stack=stack)))[0])
    assert (seen_BTS == ((-ahead <= distance) & (distance <= behind))).all()


@pytest.fixture(scope="module")
def prefixed(tiny, build):
    """GPT-2 that sees prefixes whole (Raffel 2020 §3.2.1)."""
    where = "stack.segments.0.pattern.0.sublayers.attention.reach"
    return build(override(tiny("gpt2").spec, where, "Either(one=Causal(), other=Prefix())"))


PREFIX = [[1] * 3 + [0] * 2 + [1] * 2 + [0] * 5, [1] * 7 + [0] * 5,
          [1] + [0] * 3 + [1] * 7 + [0], [0] * 12]


def test_a_prefix_is_seen_from_both_sides_by_its_document_alone(influence, prefixed):
    seen_BTS = own(influence(prefixed, segments=PACKED, prefix=PREFIX)[0])
    past_TS = np.tril(np.ones((12, 12), bool))
    expected_BTS = same(PACKED, PACKED) & (past_TS | (np.asarray(PREFIX) > 0)[:, None])
    # a query before another's prefix sees it; what follows the prefix stays causal
    assert expected_BTS[0, 0, 2] and not expected_BTS[0, 3, 4] and not expected_BTS[0, 0, 5]
    assert (seen_BTS == expected_BTS).all()


PACKED = [[1] * 5 + [2] * 4 + [0] * 3, [1] * 12, [1] * 2 + [2] * 2 + [3] * 8, [1] * 11 + [0]]
PACKED_SOURCE = [[1] * 3 + [2] * 3 + [0], [1] * 7, [1] + [2] * 5 + [3], [1] * 2 + [0] * 5]


@pytest.mark.parametrize("name", PACKING)
def test_packed_documents_and_padding_are_isolated(influence, name):
    extra = {"source_segments": PACKED_SOURCE} if name in TRANSLATORS else {}
    seen = influence(name, segments=PACKED, **extra)
    expected_BTS = same(PACKED, PACKED)
    if name not in ENCODERS:
        expected_BTS &= np.tril(np.ones((12, 12), bool))
    assert (own(seen[0]) == expected_BTS).all()
    if name in TRANSLATORS:
        real = np.asarray(PACKED) > 0  # nothing reads what padding sees
        assert (own(seen[1])[real] == same(PACKED, PACKED_SOURCE)[real]).all()
