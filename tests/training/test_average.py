"""Averages of parameters: moving, and over checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.training.average import average, moving
from transformer.training.checkpoint import Checkpoints


def test_moving_average_by_hand():
    values = np.random.default_rng(0).normal(size=(30, 4))
    mean, expected = {"a": jnp.float32(values[0])}, values[0]
    for n, value in enumerate(values[1:]):
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        mean = jax.jit(moving, static_argnums=2)(mean, {"a": jnp.float32(value)}, 0.9, n)
    np.testing.assert_allclose(mean["a"], expected, rtol=1e-5)


def test_moving_average_of_a_constant_is_that_constant_bit_for_bit():
    params = {"a": jax.random.normal(jax.random.key(0), (100,))}
    assert (moving(params, params, 0.999, 1000)["a"] == params["a"]).all()


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path, keep_last=5)
    for n in (1, 2, 6):
        leaf = jnp.full((2, 3), n, jnp.float32)
        made.save(n, {"params": {"a": leaf, "b": jnp.bfloat16(n)}, "opt": leaf})
    made.wait()
    return made


def test_the_mean_of_checkpoints(checkpoints):
    got = average([checkpoints.path(n) for n in (1, 2, 6)])
    assert (got["a"] == 3).all() and got["a"].shape == (2, 3) and got["b"] == 3
    assert got["a"].dtype == np.float32 and got["b"].dtype == jnp.bfloat16


def test_the_mean_in_the_form_of_a_model(checkpoints):
    got = average([checkpoints.path(1), checkpoints.path(2)], {"a": jnp.zeros((2, 3))})
    assert isinstance(got["a"], jax.Array) and (got["a"] == 1.5).all()


def test_no_checkpoint_at_all():
    with pytest.raises(UserError, match="at least one"):
        average([])
