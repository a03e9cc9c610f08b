"""Which tokens a position depends on, read off the gradient: exactly those it may see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

DECODERS = ("gpt1", "gpt2", "llama", "vaswani")


@pytest.fixture(scope="module")
def influence(tiny):
    """influence(family, batch) -> booleans [B, T, B, T] and, of the source, [B, T, B, S]."""
    compiled = {}

    def jacobian(model, params, batch):
        probe = jax.random.normal(jax.random.key(3), (1, 1, model.spec.embedding.width))

        def stream(table_VD):
            embedding = {**params["embedding"], "tokens": table_VD}
            hidden_BTD = model.apply({**params, "embedding": embedding}, batch)["hidden"]
            return (hidden_BTD * probe).sum(-1)

        slope_BTVD = jax.jacrev(stream)(params["embedding"]["tokens"])
        return jnp.abs(slope_BTVD).max(-1)

    def influence(name, **changed):
        small = tiny(name)
        batch = {**small.batch, **{k: jnp.asarray(v, jnp.int32) for k, v in changed.items()}}
        run = compiled.setdefault(name, jax.jit(jacobian, static_argnums=0))
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


@pytest.mark.parametrize("name", DECODERS)
def test_decoder_sees_the_past_and_never_the_future(influence, name):
    seen_BTS = own(influence(name)[0])
    past_TS = np.tril(np.ones(seen_BTS.shape[1:], bool))
    assert (seen_BTS == past_TS).all()


def test_encoder_sees_everything(influence):
    assert own(influence("bert")[0]).all()


def test_decoder_sees_the_whole_source(influence):
    assert own(influence("vaswani")[1]).all()


PACKED = [[1] * 5 + [2] * 4 + [0] * 3, [1] * 12, [1] * 2 + [2] * 2 + [3] * 8, [1] * 11 + [0]]
PACKED_SOURCE = [[1] * 3 + [2] * 3 + [0], [1] * 7, [1] + [2] * 5 + [3], [1] * 2 + [0] * 5]


@pytest.mark.parametrize("name", DECODERS + ("bert",))
def test_packed_documents_and_padding_are_isolated(influence, name):
    extra = {"source_segments": PACKED_SOURCE} if name == "vaswani" else {}
    seen = influence(name, segments=PACKED, **extra)
    expected_BTS = same(PACKED, PACKED)
    if name != "bert":
        expected_BTS &= np.tril(np.ones((12, 12), bool))
    assert (own(seen[0]) == expected_BTS).all()
    if name == "vaswani":
        real = np.asarray(PACKED) > 0  # nothing reads what padding sees
        assert (own(seen[1])[real] == same(PACKED, PACKED_SOURCE)[real]).all()
