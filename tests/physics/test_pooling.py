"""The one vector of a row: of a token, or the mean over that token's text and nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest

from transformer.nn.head import mean, read
from transformer.spec import override
from transformer.zoo.bert import bert

X = jnp.arange(12.0).reshape(2, 6, 1)
# Row 0 is padded on the left; row 1 holds two texts and padding.
SEGMENTS = jnp.array([[0, 0, 1, 1, 1, 1], [1, 1, 2, 2, 2, 0]])


@pytest.mark.parametrize(("batch", "token", "average"), [
    ({}, [0, 6], [2.5, 8.5]),
    ({"pooled": [3, 4]}, [3, 10], [2.5, 8.5]),
    ({"segments": SEGMENTS, "pooled": [2, 0]}, [2, 6], [3.5, 6.5]),
    ({"segments": SEGMENTS, "pooled": [5, 4]}, [5, 10], [3.5, 9.0])])
def test_worked_by_hand(batch, token, average):
    batch = {name: jnp.asarray(value) for name, value in batch.items()}
    assert read(X, batch)[:, 0].tolist() == token
    assert mean(X, batch)[:, 0].tolist() == average


def test_a_packed_text_has_the_mean_it_has_alone(build):
    spec = override(bert("nano"), "pooler.over", "mean")
    made = build(spec, "nsp")
    tokens = np.arange(5, 17)[None]
    segments = np.array([[1] * 5 + [2] * 7])
    positions = np.concatenate([np.arange(5), np.arange(7)])[None]
    packed = {"tokens": tokens, "segments": segments, "positions": positions,
              "pooled": np.array([5])}
    alone = {"tokens": np.pad(tokens[:, 5:], ((0, 0), (0, 5))), "pooled": np.array([0]),
             "segments": np.array([[1] * 7 + [0] * 5]), "positions": np.arange(12)[None]}
    found = [made.forward(made.params, batch)["pooled"] for batch in (packed, alone)]
    np.testing.assert_allclose(*found, atol=1e-6)
