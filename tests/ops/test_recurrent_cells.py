"""Recurrent cells against numbers worked out by hand, and the borders of documents."""

import jax.numpy as jnp
import numpy as np
import pytest

from transformer.ops.recurrent import additive, borders, gru, holding, lstm, restarting

LN3 = float(np.log(3))  # the sigmoid of it is 3/4, its tanh 4/5
X_BZE = np.array([LN3, -LN3, LN3, LN3], np.float32)[None, :, None]


def one(value):
    return jnp.full((1, 1), value, jnp.float32)


def test_lstm_by_hand():
    """i 3/4, f 1/4, g 4/5, o 3/4 from 0.4: c = 0.4 / 4 + 0.6 = 0.7."""
    h_BD, c_BD = lstm(jnp.zeros((1, 4, 1)))(X_BZE, (one(0.5), one(0.4)))
    np.testing.assert_allclose(c_BD, [[0.7]], rtol=1e-6)
    np.testing.assert_allclose(h_BD, [[0.75 * np.tanh(0.7)]], rtol=1e-6)


def test_each_gate_of_an_lstm_hears_the_state():
    """A state of ln 3 through a weight of 1 into one gate does what an input of ln 3 does."""
    for gate in range(4):
        weight_DZE = jnp.zeros((1, 4, 1)).at[0, gate, 0].set(1.0)
        heard = lstm(weight_DZE)(X_BZE, (one(LN3), one(0.4)))
        more_BZE = jnp.asarray(X_BZE).at[0, gate].add(LN3)
        told = lstm(jnp.zeros((1, 4, 1)))(more_BZE, (one(LN3), one(0.4)))
        np.testing.assert_allclose(heard, told, rtol=1e-6)


def test_gru_by_hand():
    """r 3/4, z 1/4, state 0.4: the candidate is tanh(ln 3 / 2 + 3/4 0.4 ln 3 / 0.6) = 4/5."""
    weight_DZE = jnp.zeros((1, 3, 1)).at[0, 2, 0].set(LN3 / 0.6)
    x_BZE = jnp.asarray([LN3, -LN3, LN3 / 2], jnp.float32)[None, :, None]
    h_BD, = gru(weight_DZE)(x_BZE, (one(0.4),))
    np.testing.assert_allclose(h_BD, [[0.25 * 0.4 + 0.75 * 0.8]], rtol=1e-6)


def test_gru_of_many_units_against_its_equations():
    """Cho 2014 Eq. 5 to 8, one unit at a time. The reset of a unit reaches the others."""
    draw = np.random.default_rng(0)
    weight_DZE, x_BZE = draw.standard_normal((5, 3, 5)), draw.standard_normal((2, 3, 5))
    h_BD = draw.standard_normal((2, 5))
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    want, after = np.zeros((2, 5)), np.zeros((2, 5))
    for b in range(2):
        r = [sigmoid(x_BZE[b, 0, j] + weight_DZE[:, 0, j] @ h_BD[b]) for j in range(5)]
        for j in range(5):
            z = sigmoid(x_BZE[b, 1, j] + weight_DZE[:, 1, j] @ h_BD[b])
            new = np.tanh(x_BZE[b, 2, j] + weight_DZE[:, 2, j] @ (r * h_BD[b]))
            cudnn = np.tanh(x_BZE[b, 2, j] + r[j] * (weight_DZE[:, 2, j] @ h_BD[b]))
            want[b, j] = z * h_BD[b, j] + (1 - z) * new
            after[b, j] = z * h_BD[b, j] + (1 - z) * cudnn
    single = lambda x: jnp.asarray(x, jnp.float32)
    got, = gru(single(weight_DZE))(single(x_BZE), (single(h_BD),))
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(got - after).max() > 0.1  # the other GRU is another function


def test_additive_attention_by_hand():
    """Scores 4/5 and 0 times 5/4 ln 2: weights 2/3 and 1/3; the third key is not seen."""
    key_BSF = jnp.asarray([[[0.0], [-LN3], [9.0]]])
    value_BSM = jnp.asarray([[[3.0, 0.0], [0.0, 3.0], [7.0, 7.0]]])
    see_BS = jnp.asarray([[True, True, False]])
    score_F = jnp.asarray([1.25 * np.log(2)], jnp.float32)
    context_BM = additive(one(LN3), key_BSF, value_BSM, score_F, see_BS)
    np.testing.assert_allclose(context_BM, [[2.0, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("backward, want", [(False, "1001011"), (True, "0010111")])
def test_borders(backward, want):
    segments_BT = jnp.asarray([[1, 1, 1, 2, 2, 3, 0]])
    assert "".join("01"[b] for b in borders(segments_BT, backward)[0].tolist()) == want


def counted(state, x):
    """A step that adds up."""
    state = (state[0] + x,)
    return state, state[0]


def test_a_document_begins_in_its_own_state():
    now = one(1.0), (one(50.0),), jnp.asarray([True])
    assert float(restarting(counted)((one(7.0),), now)[1][0, 0]) == 51
    now = one(1.0), (one(50.0),), jnp.asarray([False])
    assert float(restarting(counted)((one(7.0),), now)[1][0, 0]) == 8


def test_padding_keeps_the_state():
    for real, want in ((True, 8), (False, 7)):
        (state_BD,), kept_BD = holding(counted)((one(7.0),), (one(1.0), jnp.asarray([real])))
        assert (float(state_BD[0, 0]), float(kept_BD[0, 0])) == (want, 8)
