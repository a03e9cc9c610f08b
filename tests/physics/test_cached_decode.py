"""Decoding through the cache gives what one full forward pass gives."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import DECODERS, TRANSLATORS, cells

from transformer.error import UserError
from transformer.nn.context import Run
from transformer.nn.door import unstack
from transformer.nn.stack import Segment
from transformer.spec import override

PROMPTS = np.array([6, 4, 2, 1])  # tokens a row, padded to the right
STEPS = 4


def ragged(tokens_BT, side):
    """The prompts and their segments, then the next tokens of each row. Padding is a token too."""
    size = PROMPTS.max()
    place = np.arange(size)[None] - (size - PROMPTS if side == "left" else 0 * PROMPTS)[:, None]
    valid = (0 <= place) & (place < PROMPTS[:, None])
    prompt_BT = np.where(valid, np.take_along_axis(tokens_BT, np.maximum(place, 0), 1), 7)
    next_BT = np.take_along_axis(tokens_BT, PROMPTS[:, None] + np.arange(STEPS), 1)
    return prompt_BT, valid.astype(np.int32), next_BT


@functools.cache
def decoder(model):
    return jax.jit(model.decode, static_argnames="run")


def decoded(small, run=Run(), side="right"):
    """Logits [B, 1 + STEPS, V] after the prompt and after each further token."""
    prompt_BT, valid_BT, next_BT = ragged(np.asarray(small.batch["tokens"]), side)
    params, decode = unstack(small.params), decoder(small.model)
    cache = small.model.open(params, small.batch, PROMPTS.max() + STEPS, run)
    logits, cache = decode(params, cache, jnp.asarray(prompt_BT), jnp.asarray(valid_BT), run=run)
    every = [logits]
    for t in range(STEPS):
        token, one = jnp.asarray(next_BT[:, t:t + 1]), jnp.ones((len(PROMPTS), 1), jnp.int32)
        logits, cache = decode(params, cache, token, one, run=run)
        every.append(logits)
    return np.stack(every, 1)


def full(small):
    """The same logits from one pass over whole rows."""
    logits_BTV = np.asarray(small.forward(small.params, small.batch)["logits"])
    place = PROMPTS[:, None] - 1 + np.arange(1 + STEPS)
    return np.take_along_axis(logits_BTV, place[..., None], 1)


@pytest.mark.parametrize("name", cells(DECODERS, ("gpt2", "gpt3", "llama", "palm")))
def test_cached_decode_equals_the_full_pass(tiny, name):
    wanted = full(tiny(name))
    for side in ("right", "left"):
        np.testing.assert_allclose(decoded(tiny(name), side=side), wanted, atol=2e-5)


@pytest.mark.parametrize("name", cells(TRANSLATORS, ("bart", "rnn", "t5")))
def test_cached_decode_reads_a_padded_source(tiny, name):
    small = tiny(name)
    source = np.arange(7) < np.array([7, 5, 3, 1])[:, None]
    batch = {**small.batch, "source_segments": jnp.asarray(source, jnp.int32)}
    small = dataclasses.replace(small, batch=batch)
    wanted = full(small)
    for side in ("right", "left"):
        np.testing.assert_allclose(decoded(small, side=side), wanted, atol=2e-5)


def test_the_prompt_is_the_prefix(tiny, build):
    """Its tokens see each other; what follows sees them, itself and the token before."""
    where = "stack.segments.0.pattern.0.sublayers.attention.reach"
    near = "Both(one=Causal(), other=Window(width=1))"
    small = build(override(tiny("gpt2").spec, where, f"Either(one={near}, other=Prefix())"))
    prefix = jnp.asarray(np.arange(12) < PROMPTS[:, None], jnp.int32)
    whole = dataclasses.replace(small, batch={**small.batch, "prefix": prefix})
    for side in ("right", "left"):
        np.testing.assert_allclose(decoded(small, side=side), full(whole), atol=2e-5)
    assert np.abs(full(whole) - full(small)).max() > 0.01


def test_cached_decode_keeps_blocks_apart_and_shares_what_is_shared(tiny, build):
    spec = tiny("gpt2").spec
    (block,), repeats = spec.stack.segments[0].pattern, spec.stack.segments[0].repeats
    pairs = Segment(pattern=(block, block), repeats=repeats, shared=("attention",))
    again = Segment(pattern=(block,), repeats=2, shared=("attention", "feedforward"))
    segments = (pairs, again, Segment(pattern=(block,), repeats=1))
    stack = dataclasses.replace(spec.stack, segments=segments)
    small = build(dataclasses.replace(spec, stack=stack))
    np.testing.assert_allclose(decoded(small), full(small), atol=2e-5)


def test_a_prompt_may_come_in_pieces(tiny):
    small = tiny("gpt2")
    tokens, params = small.batch["tokens"], unstack(small.params)
    cache = small.model.open(params, small.batch, 12)
    decode = jax.jit(small.model.decode)
    for start, stop in ((0, 4), (4, 8), (8, 12)):
        logits, cache = decode(params, cache, tokens[:, start:stop])
    want = small.forward(small.params, small.batch)["logits"][:, -1]
    np.testing.assert_allclose(logits, want, atol=2e-5)


def test_a_cache_longer_than_the_positions_is_refused(tiny):
    small = tiny("gpt2")
    with pytest.raises(UserError, match="70 positions, but the model has 64"):
        small.model.open(small.params, small.batch, 70)


def test_a_row_longer_than_the_positions_is_refused(tiny):
    small = tiny("bert")
    with pytest.raises(UserError, match="65 tokens, but the model has positions for 64"):
        jax.eval_shape(small.model.apply, small.params, {"tokens": jnp.zeros((1, 65), jnp.int32)})
