"""Which dimensions of a head turn, and how fast, against the published rules."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.nn.position import LinearScaling, Llama3Scaling, Rotary
from transformer.ops.rotary import rates

X = np.random.default_rng(0).standard_normal((2, 3, 2, 16)).astype(np.float32)
PLACE = np.array([[0, 5, 17], [2, 3, 90]])


@pytest.mark.parametrize("fraction,width", [(0.25, 4), (0.5, 8), (0.4, 6), (1.0, 16)])
def test_a_fraction_of_a_head_turns_as_a_head_of_that_width(fraction, width):
    """GPT-NeoX: the first dimensions turn, in halves of their own; the others stay."""
    found = np.asarray(Rotary(base=100.0, fraction=fraction)(jnp.asarray(X), jnp.asarray(PLACE)))
    half = width // 2
    angle = PLACE[..., None, None] * 100.0 ** (-2 * np.arange(half) / width)
    turned = (X[..., :half] + 1j * X[..., half:width]) * np.exp(1j * angle)
    wanted = np.concatenate([turned.real, turned.imag, X[..., width:]], -1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_linear_scaling_puts_positions_closer_together():
    near = Rotary(scaling=LinearScaling(factor=4.0))(jnp.asarray(X), jnp.asarray(4 * PLACE))
    np.testing.assert_allclose(near, Rotary()(jnp.asarray(X), jnp.asarray(PLACE)), atol=1e-5)


def of_the_release(rate, factor, low, high, length):
    """The rule in the code that Meta published with Llama 3.1, in wavelengths."""
    wavelength = 2 * math.pi / rate
    if wavelength < length / high:
        return rate, "kept"
    if wavelength > length / low:
        return rate / factor, "slow"
    smooth = (length / wavelength - low) / (high - low)
    return (1 - smooth) * rate / factor + smooth * rate, "between"


@pytest.mark.parametrize("base,how", [
    (500_000.0, dict(factor=8.0, low=1.0, high=4.0, length=8192)),  # Llama 3.1
    (500_000.0, dict(factor=32.0, low=1.0, high=4.0, length=8192)),  # Llama 3.2
    (10_000.0, dict(factor=2.0, low=0.5, high=16.0, length=256))])
def test_llama_3_scaling_is_the_published_rule(base, how):
    rate_K = np.asarray(rates(128, base), np.float64)
    wanted, kinds = zip(*(of_the_release(rate, **how) for rate in rate_K))
    assert set(kinds) == {"kept", "slow", "between"}
    found = Llama3Scaling(**how)(jnp.asarray(rate_K, jnp.float32))
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_wrong_rotations_are_refused():
    for wrong in (0.0, -0.5, 1.5):
        with pytest.raises(UserError, match="fraction is .*, but it must be above 0 and at most 1"):
            Rotary(fraction=wrong)
    for fraction, width in ((0.2, 3), (0.01, 0)):
        with pytest.raises(UserError, match=f"head_dim is {width} at fraction {fraction}; use an "):
            Rotary(fraction=fraction)(jnp.asarray(X), jnp.asarray(PLACE))
    for scaling in (LinearScaling, Llama3Scaling):
        with pytest.raises(UserError, match=f"{scaling.__name__}.factor is 0, but it must be "):
            scaling(factor=0)
    with pytest.raises(UserError, match=r"low \(4.0\) must be less than high \(4.0\)"):
        Llama3Scaling(low=4.0)
