"""Tokens, types and positions on their way into the stream, against the formulas by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.nn.context import Context, Run
from transformer.nn.door import Model
from transformer.nn.embedding import Embedding, EmbeddingModule
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned, Sinusoidal
from transformer.ops.sinusoid import sinusoid

TOKENS, TYPES, PLACE = np.array([[3, 1], [0, 3]]), np.array([[0, 1], [1, 1]]), np.array([[0, 2]])


def filled(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def embedded(spec, params):
    context = Context(Run(), jnp.asarray(PLACE), jnp.asarray(PLACE))
    return EmbeddingModule(spec).apply({"params": params}, jnp.asarray(TOKENS), jnp.asarray(TYPES),
                                       context)


def test_a_factorised_embedding_is_normed_at_its_rank_and_then_mapped():
    """Lan 2020 §3.1; scale falls on the token vector alone."""
    spec = Embedding(vocab=4, width=5, rank=3, types=2, position=Learned(length=3, offset=1),
                     scale=1.7, norm=LayerNorm(eps=1e-5))
    params = {"tokens": filled((4, 3), 0), "types": filled((2, 3), 1),
              "positions": filled((4, 3), 2), "project": filled((3, 5), 3),
              "project_bias": filled(5, 4),
              "norm": {"scale": filled(3, 5), "shift": filled(3, 6)}}
    x = 1.7 * params["tokens"][TOKENS] + params["types"][TYPES] + params["positions"][PLACE + 1]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    x = x * params["norm"]["scale"] + params["norm"]["shift"]
    wanted = x @ params["project"] + params["project_bias"]
    np.testing.assert_allclose(embedded(spec, params), wanted, rtol=1e-4, atol=1e-5)


def test_a_rank_narrows_the_tables_and_nothing_else(tiny):
    spec = tiny("albert").spec
    factorised = Model(spec).shapes()["embedding"]
    assert {name: leaf.shape for name, leaf in factorised.items() if name != "norm"} == {
        "tokens": (256, 32), "types": (2, 32), "positions": (64, 32), "project": (32, 64),
        "project_bias": (64,)}
    assert factorised["norm"]["scale"].shape == (32,)
    whole = dataclasses.replace(spec, embedding=dataclasses.replace(spec.embedding, rank=None))
    apart = Model(whole).shapes()
    assert "project" not in apart["embedding"] and apart["stack"] == Model(spec).shapes()["stack"]


def test_rows_before_the_offset_are_never_read():
    position, x = Learned(length=6, offset=2), jnp.zeros((1, 4, 3))
    assert position.table(3) == (8, 3) and position.limit() == 6
    i_BT = jnp.array([[0, 1, 5, 3]])
    slope = jax.grad(lambda table: position(x, i_BT, table).sum())(jnp.asarray(filled((8, 3), 0)))
    np.testing.assert_array_equal(slope[:, 0], [0, 0, 1, 1, 0, 1, 0, 1])


def test_sinusoids_in_halves_are_the_interleaved_ones_in_another_order():
    """Sines first, then cosines, each in the order of their periods (Marian's layout)."""
    i_BT, width = jnp.array([[0, 1, 63]]), 10
    halves = np.asarray(sinusoid(i_BT, width, interleaved=False))
    angle = np.asarray(i_BT)[..., None] / 10_000 ** (2 * np.arange(5) / width)
    np.testing.assert_allclose(halves[..., :5], np.sin(angle), atol=1e-5)
    np.testing.assert_allclose(halves[..., 5:], np.cos(angle), atol=1e-5)
    there = np.asarray(sinusoid(i_BT, width))
    np.testing.assert_array_equal(halves, np.concatenate([there[..., ::2], there[..., 1::2]], -1))
    added = Sinusoidal(interleaved=False)(jnp.zeros((1, 3, width)), i_BT, None)
    np.testing.assert_array_equal(added, halves)


@pytest.fixture
def bart(tiny):
    return tiny("bart")


def moved(bart, owner, name):
    """Which streams change with a table of one side's embedding, or with its norm."""
    before = bart.forward(bart.params, bart.batch)
    mine = {**bart.params[owner]}
    mine[name] = jax.tree.map(lambda leaf: leaf + filled(leaf.shape, 7), mine[name])
    after = bart.forward({**bart.params, owner: mine}, bart.batch)
    return [stream for stream in ("memory", "hidden") if (before[stream] != after[stream]).any()]


def test_a_source_has_positions_and_a_norm_of_its_own_over_one_table(bart):
    assert set(bart.params["source_embedding"]) == {"positions", "norm"}
    for name in ("positions", "norm"):
        assert moved(bart, "source_embedding", name) == ["memory", "hidden"]
        assert moved(bart, "embedding", name) == ["hidden"]
    assert moved(bart, "embedding", "tokens") == ["memory", "hidden"]


def test_each_side_has_the_length_of_its_own_positions(bart):
    spec = bart.spec
    short = dataclasses.replace(spec.source_embedding, position=Learned(length=5, offset=2))
    model = Model(dataclasses.replace(spec, source_embedding=short))
    row = lambda size: jnp.zeros((1, size), jnp.int32)
    run = lambda source: jax.eval_shape(
        model.apply, model.shapes(), {"tokens": row(9), "source_tokens": row(source)})
    assert run(5)["memory"].shape == (1, 5, 64)
    with pytest.raises(UserError, match="a row has 6 tokens, but the model has positions for 5"):
        run(6)
