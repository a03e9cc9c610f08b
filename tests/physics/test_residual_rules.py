"""How sublayers meet the stream, by hand: two functions in place of attention and feed-forward."""

import numpy as np
import pytest
from flax import linen as nn

from transformer.nn.norm import LayerNorm
from transformer.nn.residual import FirstBare, ParallelNorm, PostNorm, PreNorm

NORM = LayerNorm(eps=1e-5)
X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
SUBLAYERS = {"a": lambda x: 2 * x + 1, "b": lambda x: x * x}
A, B = SUBLAYERS.values()


class Block(nn.Module):
    """A residual rule over the two, as the third block of a pattern."""

    rule: object

    @nn.compact
    def __call__(self, x):
        return self.rule(x, list(SUBLAYERS.items()), 2)


def norm(x, number):
    """LayerNorm whose scale is `number` and whose shift is its negative."""
    centred = x - x.mean(-1, keepdims=True)
    return number * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) - number


def pre(x, one, other):
    x = x + A(norm(x, one))
    return x + B(norm(x, other))


def post(x, one, other):
    return norm((h := norm(x + A(x), one)) + B(h), other)


@pytest.mark.parametrize("rule,names,wanted", [
    (PreNorm(norm=NORM), ("2_a_norm", "2_b_norm"), pre),
    (PostNorm(norm=NORM), ("2_a_norm", "2_b_norm"), post),
    (FirstBare(norm=NORM), ("2_b_norm",), lambda x, one: (h := x + A(x)) + B(norm(h, one))),
    (ParallelNorm(norm=NORM), ("2_norm",), lambda x, one: x + A(norm(x, one)) + B(norm(x, one))),
    (ParallelNorm(norm=NORM, own=True), ("2_a_norm", "2_b_norm"),
     lambda x, one, other: x + A(norm(x, one)) + B(norm(x, other))),
], ids=lambda part: type(part).__name__)
def test_the_rule_is_its_formula(rule, names, wanted):
    numbers = [1.5 + n for n in range(len(names))]
    params = {name: {"scale": np.full(4, n, np.float32), "shift": np.full(4, -n, np.float32)}
              for name, n in zip(names, numbers)}
    found = Block(rule).apply({"params": params}, X)
    np.testing.assert_allclose(found, wanted(X, *numbers), rtol=1e-5)
