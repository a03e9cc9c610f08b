"""Recurrent encoder-decoders: what they read, in which order, and that they can learn."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.nn.alignment import NoAttention
from transformer.nn.count import train_flops
from transformer.nn.door import Model
from transformer.nn.head import Tied
from transformer.nn.initial import Glorot
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.zoo.rnn import rnn

SMALL = dict(width=16, embedding=12, hidden=10, vocab=128)
STYLES = ("sutskever", "cho", "bahdanau")


@pytest.fixture(scope="module")
def styled(build):
    """styled(style) -> a Tiny of two layers."""
    made = {}

    def styled(style, **changes):
        key = style, str(changes)
        if key not in made:
            spec = dataclasses.replace(rnn(style=style, **SMALL, depth=2), **changes)
            made[key] = build(spec)
        return made[key]

    return styled


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def numpy_gru(p, x, h, context=None):
    """One step for one row, Cho 2014 Eq. 5 to 8 with the biases and the context of Bahdanau."""
    gates = np.einsum("r,rze->ze", x, p["input"]) + p["bias"]
    if context is not None:
        gates = gates + np.einsum("m,mze->ze", context, p["context"])
    heard = np.einsum("d,dze->ze", h, p["recurrent"][:, :2])
    r, z = sigmoid(gates[:2] + heard)
    return z * h + (1 - z) * np.tanh(gates[2] + (r * h) @ p["recurrent"][:, 2])


def test_rnnsearch_against_its_equations(tiny):
    """Bahdanau 2015 App. A, row by row in float64, without padding, batches or loops over time."""
    small = tiny("rnn")
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), small.params)
    table, lengths = p["embedding"]["tokens"], [7, 4, 1, 6]
    segments_BS = (np.arange(7) < np.array(lengths)[:, None]).astype(np.int32)
    batch = {**small.batch, "source_segments": jnp.asarray(segments_BS)}
    got = small.forward(small.params, batch)["logits"]
    decoder, encoder = p["decoder"], p["encoder"]
    for b, length in enumerate(lengths):
        x = table[np.asarray(batch["source_tokens"])[b, :length]]
        ways = []
        for name, order in (("forward", range(length)), ("backward", range(length)[::-1])):
            h, seen = np.zeros(64), {}
            for n in order:
                h = seen[n] = numpy_gru(encoder[f"layer_0_{name}"], x[n], h)
            ways.append(np.stack([seen[n] for n in range(length)]))
        memory = np.concatenate(ways, 1)
        start = decoder["start"]
        s = np.tanh(ways[1][0] @ start["shown_0"] + start["shown_0_bias"])
        for t, token in enumerate(np.asarray(batch["tokens"])[b]):
            align = decoder["align"]
            e = np.tanh(s @ align["query"] + memory @ align["key"]) @ align["score"]
            context = np.exp(e) / np.exp(e).sum() @ memory
            s = numpy_gru(decoder["layer_0"], table[token], s, context)
            read = decoder["readout"]
            pairs = read["state_bias"] + sum(
                np.einsum("d,dfz->fz", value, read[name])
                for name, value in (("state", s), ("token", table[token]), ("context", context)))
            want = pairs.max(1) @ p["heads_logits"]["unembedding"]
            np.testing.assert_allclose(got[b, t], want, atol=2e-5)


def test_padding_of_the_source_changes_nothing(styled):
    small = styled("sutskever")
    pad = lambda x, value: jnp.pad(x, ((0, 0), (0, 4)), constant_values=value)
    tokens_BS, ones_BS = small.batch["source_tokens"], small.batch["source_segments"]
    padded = {**small.batch, "source_tokens": pad(tokens_BS, 3), "source_segments": pad(ones_BS, 0),
              "source_positions": jnp.zeros((4, 11), jnp.int32)}
    one, other = (small.forward(small.params, b)["logits"] for b in (small.batch, padded))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("style", ("sutskever", "cho"))
def test_reading_backward_is_reversing_by_hand(styled, style):
    """Of rows of unequal length: what a row holds is reversed, its padding stays."""
    lengths = np.array([7, 5, 2, 1])
    segments_BS = (np.arange(7) < lengths[:, None]).astype(np.int32)
    tokens_BS = np.asarray(styled(style).batch["source_tokens"])
    turned_BS = tokens_BS.copy()
    for row, length in zip(turned_BS, lengths):
        row[:length] = row[:length][::-1]

    def run(reading, tokens_BS):
        small = styled(style, reading=reading)
        params = {**small.params, "encoder": {  # both ways are called by their names
            f"layer_{n}_{reading}": styled(style, reading="forward").params["encoder"][
                f"layer_{n}_forward"] for n in range(2)}}
        batch = {**small.batch, "source_tokens": jnp.asarray(tokens_BS),
                 "source_segments": jnp.asarray(segments_BS)}
        return small.forward(params, batch)

    back, hand = run("backward", tokens_BS), run("forward", turned_BS)
    np.testing.assert_allclose(back["logits"], hand["logits"], atol=1e-5)
    for n, length in enumerate(lengths):  # the annotations stay with their tokens
        np.testing.assert_allclose(back["memory"][n, :length],
                                   hand["memory"][n, :length][::-1], atol=1e-5)
    assert np.abs(run("backward", turned_BS)["logits"] - hand["logits"])[:3].max() > 1e-4


@functools.partial(jax.jit, static_argnums=(0, 3))
def opened(model, params, batch, capacity):
    return model.open(params, batch, capacity)


@pytest.mark.parametrize("style", STYLES)
def test_only_attention_and_summary_see_the_source_after_the_start(styled, style):
    """With the decoder's first state cut off, what is left reaches it by other ways, or not."""
    small = styled(style)
    params = small.params
    if style != "sutskever":  # tanh(0 s + b) is the same whatever the source
        start = jax.tree.map(np.zeros_like, params["decoder"]["start"])
        params = {**params, "decoder": {**params["decoder"], "start": start}}
    cache = opened(small.model, params, small.batch, 4)
    if style == "sutskever":
        state = jax.tree.map(jnp.zeros_like, cache["layers"]["state"])
        cache = {**cache, "layers": {**cache["layers"], "state": state}}
    other = jax.tree.map(lambda leaf: leaf[::-1] if leaf.ndim else leaf, cache)
    token = jnp.full((4, 1), 9)
    decode = jax.jit(small.model.decode)
    one, two = (decode(params, c, token)[0] for c in (cache, other))
    differs = np.abs(one - two).max() > 1e-4
    assert differs == (style != "sutskever")


@pytest.mark.parametrize("style", ("sutskever", "cho"))
def test_each_layer_decodes_from_its_own_state(styled, style):
    """A prompt of three tokens, then two more: the full pass. RNNsearch is among the families."""
    small, decode = styled(style), jax.jit(styled(style).model.decode)
    want = small.forward(small.params, small.batch)["logits"]
    cache = opened(small.model, small.params, small.batch, 5)
    for start, stop in ((0, 3), (3, 4), (4, 5)):
        logits, cache = decode(small.params, cache, small.batch["tokens"][:, start:stop])
        np.testing.assert_allclose(logits, want[:, stop - 1], atol=1e-6)


def test_without_attention_the_source_speaks_through_its_last_state(styled):
    """Given the states, nothing else of the source is looked at."""
    small = styled("sutskever")
    cache = opened(small.model, small.params, small.batch, 4)
    assert cache["layers"]["source"] == {}
    assert [part.shape for part in jax.tree.leaves(cache["layers"])] == [(4, 16)] * 4
    longer = opened(small.model, small.params, small.batch, 400)
    assert jax.tree.map(np.shape, longer) == jax.tree.map(np.shape, cache)


def test_a_summary_is_the_last_state(styled):
    small = styled("cho")
    segments_BS = (np.arange(7) < np.array([[7], [5], [2], [1]])).astype(np.int32)
    batch = {**small.batch, "source_segments": jnp.asarray(segments_BS)}
    cache = opened(small.model, small.params, batch, 4)
    kept = cache["layers"]["source"]
    ends_BS = np.asarray(kept["end"]) & (segments_BS > 0)
    assert ends_BS.argmax(1).tolist() == [6, 4, 1, 0] and (ends_BS.sum(1) == 1).all()
    memory_BSM = small.forward(small.params, batch)["memory"]
    np.testing.assert_allclose(kept["value"], memory_BSM, atol=1e-6)

    def next_BV(value_BSM):
        source = {**kept, "value": value_BSM}
        layers = {**cache["layers"], "source": source}
        return small.model.decode(small.params, {**cache, "layers": layers}, jnp.full((4, 1), 9))[0]

    alone = next_BV(kept["value"] * ends_BS[..., None])
    np.testing.assert_array_equal(alone, next_BV(kept["value"]))
    assert np.abs(alone - next_BV(0 * kept["value"])).min(1).max() > 1e-6


@pytest.mark.parametrize("style", STYLES)
def test_packed_pairs_are_pairs_apart(styled, style):
    """Row 0 holds two pairs, rows 1 and 2 one each: all readers start again between them."""
    small = styled(style)
    batch = {name: np.array(value) for name, value in small.batch.items()}
    cuts = {"": ((0, 5), (5, 10)), "source_": ((0, 4), (4, 7))}
    for side, pair in cuts.items():
        tokens, segments = batch[side + "tokens"], batch[side + "segments"]
        segments[:3] = 0
        for n, (start, stop) in enumerate(pair):
            tokens[n + 1, :stop - start] = tokens[0, start:stop]
            segments[n + 1, :stop - start], segments[0, start:stop] = 1, n + 1
    logits_BTV = small.forward(small.params, jax.tree.map(jnp.asarray, batch))["logits"]
    for n, (start, stop) in enumerate(cuts[""]):
        np.testing.assert_allclose(logits_BTV[0, start:stop], logits_BTV[n + 1, :stop - start],
                                   atol=1e-5)


@pytest.fixture
def optimised():
    """Against `hurry`: what runs for long is compiled well."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.parametrize(
    "style", [pytest.param("sutskever", marks=pytest.mark.full), "bahdanau"])
def test_it_learns_pairs_by_heart(optimised, style):
    """Eight sequences and their copies, to within 0.05 nats of the floor, which is 0."""
    draw, objective = np.random.default_rng(0), SequenceToSequence()
    model = Model(rnn(style=style, vocab=16, width=32, embedding=32, hidden=32, init=Glorot()))
    source_BS = draw.integers(4, 16, (8, 6)).astype(np.int32)
    segments_BS = (np.arange(6) < draw.integers(3, 7, 8)[:, None]).astype(np.int32)
    first_BT = np.full((8, 1), 2, np.int32)
    batch = {"source_tokens": source_BS, "source_segments": segments_BS, "segments": segments_BS,
             "tokens": np.concatenate([first_BT, source_BS[:, :-1]], 1), "targets": source_BS,
             "weights": segments_BS.astype(np.float32)}
    optimizer = AdamW(learning_rate=Constant(peak=1e-2)).build()

    def loss(params):
        term = objective.loss(model.apply, params, batch, jax.random.key(0), True)["target"]
        return term.sum / term.weight

    @jax.jit
    def trained(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return jax.tree.map(jnp.add, params, updates), state

        params, _ = jax.lax.fori_loop(0, 150, step, (params, optimizer.init(params)))
        return loss(params)

    assert trained(jax.jit(model.init)(jax.random.key(0))) < 0.05


def test_flops_are_those_of_the_products():
    """By hand: T 3, S 5, D 4, R 2, hidden 6, V 16, both ways, one layer, attention as wide as D."""
    D, R, V, T, S, F, M = 4, 2, 16, 3, 5, 6, 8
    spec = rnn(width=D, embedding=R, hidden=F, vocab=V)
    encoder = 2 * S * 3 * (R * D + D * D)
    decoder = T * 3 * (R * D + D * D + M * D) + D * D
    align = T * D * D + S * M * D + T * S * (D + M)
    readout = T * 2 * F * (D + R + M) + T * F * V
    want = 3 * 2 * (encoder + decoder + align + readout)
    assert train_flops(Model(spec), T, S) == want
    blind = dataclasses.replace(spec, attention=NoAttention())
    context = T * (3 * M * D + 2 * F * M)
    assert train_flops(Model(blind), T, S) == want - 3 * 2 * (align + context)


def test_mistakes_are_named():
    tied = rnn(style="sutskever", width=16, embedding=12, vocab=128)
    with pytest.raises(UserError, match="12 dimensions.* gives 16"):
        dataclasses.replace(tied, heads=(("logits", Tied()),))
    with pytest.raises(UserError, match="reading"):
        dataclasses.replace(tied, reading="sideways")
