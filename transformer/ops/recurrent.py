"""Recurrent cells, and the loop that carries one along the documents of a row.

A state is a tuple of float32 arrays [B, D]: what the cell shows is first. Z counts gates, E is D
on the output side of a weight.
"""

import jax
import jax.numpy as jnp

from transformer.ops.linear import linear
from transformer.ops.placement import constrain


def lstm(recurrent_DZE):
    """The cell of Hochreiter 1997 with the forget gate of Gers 2000, without peepholes.

    Args:
      recurrent_DZE: weights of the shown state; gates: input, forget, candidate, output.

    Returns:
      step(x_BZE, (shown, cell)) -> the new state; x_BZE is what the input adds to the gates.
    """

    def step(x_BZE, state):
        h_BD, c_BD = state
        gate_BZE = _added(x_BZE, h_BD, recurrent_DZE)
        i_BD, f_BD, o_BD = (jax.nn.sigmoid(gate_BZE[:, n]) for n in (0, 1, 3))
        c_BD = f_BD * c_BD + i_BD * jnp.tanh(gate_BZE[:, 2])
        return constrain(o_BD * jnp.tanh(c_BD), "B."), constrain(c_BD, "B.")

    return step


def gru(recurrent_DZE):
    """The cell of Cho 2014 §2.3: the reset gate works before the product, z keeps the old state.

    That of cuDNN resets after the product and is another function. Gates: reset, update, candidate;
    the rest as `lstm`, with a state of one array.
    """
    gates_DZE, candidate_DZE = recurrent_DZE[:, :2], recurrent_DZE[:, 2:]

    def step(x_BZE, state):
        h_BD, = state
        gate_BZE = jax.nn.sigmoid(_added(x_BZE[:, :2], h_BD, gates_DZE))
        r_BD, z_BD = gate_BZE[:, 0], gate_BZE[:, 1]
        new_BD = jnp.tanh(_added(x_BZE[:, 2:], r_BD * h_BD, candidate_DZE)[:, 0])
        return constrain(z_BD * h_BD + (1 - z_BD) * new_BD, "B."),

    return step


def _added(x_BZE, h_BD, weight_DZE):
    """Inputs and the product of the state, in float32; the product in the type of the inputs."""
    product_BZE = linear("bd,dze->bze", h_BD.astype(x_BZE.dtype), weight_DZE)
    return x_BZE.astype(jnp.float32) + product_BZE.astype(jnp.float32)


def additive(q_BF, key_BSF, value_BSM, score_F, see_BS):
    """Bahdanau 2015 App. A.1.2: the values, weighed by softmax(score . tanh(query + key)).

    see_BS: booleans, which keys count. A query that sees nothing averages all values. -> [B, M]
    """
    h_BSF = jnp.tanh(q_BF[:, None] + key_BSF)
    e_BS = jnp.einsum("bsf,f->bs", h_BSF, score_F.astype(h_BSF.dtype),
                      preferred_element_type=jnp.float32)
    weight_BS = jax.nn.softmax(jnp.where(see_BS, e_BS, jnp.finfo(jnp.float32).min))
    return jnp.einsum("bs,bsm->bm", weight_BS.astype(value_BSM.dtype), value_BSM)


def borders(segments_BT, backward: bool = False):
    """Booleans [B, T]: where a document begins for one who reads forward, or backward."""
    changed = segments_BT[:, 1:] != segments_BT[:, :-1]
    end = jnp.ones_like(segments_BT[:, :1], bool)
    return jnp.concatenate([changed, end] if backward else [end, changed], 1)


def restarting(step):
    """A step that begins each document in a state of its own.

    Args:
      step: (state, input) -> (state, what to keep), as `jax.lax.scan` takes it.

    Returns:
      The same over inputs (input, first state, whether a document begins here [B]).
    """

    def restarted(state, now):
        x, first, begins_B = now
        return step(_chosen(begins_B, first, state), x)

    return restarted


def holding(step):
    """A step that keeps its state through padding: over inputs (input, whether it is real [B])."""

    def held(state, now):
        x, real_B = now
        new, kept = step(state, x)
        return _chosen(real_B, new, state), kept

    return held


def _chosen(flag_B, a, b):
    return tuple(jnp.where(flag_B[:, None], x, y) for x, y in zip(a, b, strict=True))
