"""What heads read off the stream, by hand: scores by the token table, and whether a token is real.
"""

import dataclasses
import math

import jax
import numpy as np
import pytest
from families import plain

from transformer.error import UserError
from transformer.nn.door import Model
from transformer.nn.head import Tied
from transformer.zoo.albert import albert
from transformer.zoo.electra import encoder
from transformer.zoo.gpt2 import gpt2


@pytest.fixture(scope="module")
def read(build):
    """read(spec, head) -> the head's output, the stream it reads, all parameters; those of the
    head so large that the two forms of GELU differ."""
    def read(spec, head):
        small = build(plain(spec), head)
        params = {**small.params, f"heads_{head}": jax.tree.map(
            lambda leaf: 10 * leaf, small.params.get(f"heads_{head}", {}))}
        found = jax.device_get(small.forward(params, small.batch))
        return found[head], found["hidden"], params

    return read


@pytest.mark.parametrize("head", [Tied(), Tied(scale=0.125), Tied(scale=0.5, bias=True)], ids=repr)
def test_tied_logits(read, head):
    spec = gpt2(width=16, depth=1, heads=2, vocab=256, length=16)
    logits, x_BTD, params = read(dataclasses.replace(spec, heads=(("logits", head),)), "logits")
    wanted = head.scale * x_BTD @ params["embedding"]["tokens"].T
    assert set(params["heads_logits"]) == ({"vocab_bias"} if head.bias else set())
    if head.bias:
        wanted = wanted + params["heads_logits"]["vocab_bias"]
    np.testing.assert_allclose(logits, wanted, atol=2e-5)


def test_masked_logits_pass_through_the_rank(read):
    """Dense to R, GELU (tanh), norm, the table, a bias a token (Lan 2020's code)."""
    spec = albert(width=16, depth=1, heads=2, rank=6, vocab=256, length=16)
    logits, x_BTD, params = read(spec, "mlm")
    head = params["heads_mlm"]
    assert head["transform"].shape == (16, 6)
    h = x_BTD @ head["transform"] + head["transform_bias"]
    h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-12)
    h = h * head["norm"]["scale"] + head["norm"]["shift"]
    wanted = h @ params["embedding"]["tokens"].T + head["vocab_bias"]
    np.testing.assert_allclose(logits, wanted, atol=2e-5)


def test_whether_a_token_was_replaced(read):
    """Dense, GELU (erf) and one number a token, without a norm (Clark 2020's code)."""
    spec = encoder(width=16, depth=1, heads=2, rank=16, vocab=256, length=16)
    logits, x_BTD, params = read(spec, "replaced")
    head = params["heads_replaced"]
    h = x_BTD @ head["transform"] + head["transform_bias"]
    h = h * 0.5 * (1 + np.vectorize(math.erf)(h / np.sqrt(2)))
    wanted = (h @ head["classes"] + head["classes_bias"])[..., 0]
    assert logits.shape == (4, 12)
    np.testing.assert_allclose(logits, wanted, atol=2e-5)


def test_a_table_of_another_width_cannot_score_the_stream():
    spec = gpt2(width=16, depth=1, heads=2, vocab=256, length=16)
    narrow = dataclasses.replace(spec.embedding, rank=6)
    with pytest.raises(UserError, match="rows have 6 dimensions, but the stream has 16; use Unt"):
        Model(dataclasses.replace(spec, embedding=narrow)).shapes()
