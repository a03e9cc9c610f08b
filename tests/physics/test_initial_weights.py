"""Each family begins as its authors began: deviations, bounds, zeros and ones."""

import math

import jax
import numpy as np
import pytest
from families import cells

from transformer.nn.door import Model
from transformer.zoo.rnn import rnn

TRUNCATED = 0.02 * 0.879626  # a unit normal cut at two has this deviation


@pytest.fixture(scope="module")
def begun(tiny):
    """begun(family or a model) -> {path: initial value}."""

    def begun(name, size=""):
        model = tiny(name, size).model if isinstance(name, str) else Model(name)
        params = jax.jit(model.init)(jax.random.key(0))
        leaves = jax.tree_util.tree_leaves_with_path(params)
        return {jax.tree_util.keystr(p, simple=True, separator="/"): np.asarray(v)
                for p, v in leaves}

    return begun


def spread(values, std):
    """Mean 0 and this deviation, within four standard errors (kurtosis of a normal at most)."""
    error = 4 / math.sqrt(values.size)
    assert abs(values.mean()) < error * std
    assert abs(values.std() / std - 1) < error / math.sqrt(2)


def weights(params, first=1):
    """The leaves that are drawn, after a check of those that are not; first: scale of the norms."""
    drawn = {}
    for path, value in params.items():
        if path.endswith(("bias", "shift")):
            assert (value == 0).all(), path
        elif path.endswith("scale"):
            assert (value == first).all(), path
        else:
            drawn[path] = value
        if "segment_" in path and path in drawn and len(value) > 1:
            assert (value[0] != value[1]).mean() > 0.99, f"{path}: the layers are alike"
    assert drawn and all(value.dtype == np.float32 for value in params.values())
    return drawn


def test_gpt1(begun):
    for value in weights(begun("gpt1")).values():
        spread(value, 0.02)


def test_gpt2_scales_what_enters_the_residual_stream(begun):
    for path, value in weights(begun("gpt2")).items():
        into = path.endswith(("attention/out", "feedforward/down"))
        spread(value, 0.01 if path == "embedding/positions"
               else 0.02 / math.sqrt(2 * 2) if into else 0.02)


@pytest.mark.full
def test_gpt3_scales_by_the_depth_of_both_blocks(begun):
    for path, value in weights(begun("gpt3")).items():
        into = path.endswith(("attention/out", "feedforward/down"))
        spread(value, 0.01 if path == "embedding/positions"
               else 0.02 / math.sqrt(2 * 2) if into else 0.02)


@pytest.mark.parametrize("name", cells(
    ("llama", "distilbert", "roberta", "bart", "marian", "neox", "qwen3"), ("llama",)))
def test_one_deviation_for_all(begun, name):
    for value in weights(begun(name)).values():
        spread(value, 0.02)


@pytest.mark.full
def test_gemma_counts_the_scale_of_its_norms_from_one(begun):
    for value in weights(begun("gemma"), first=0).values():
        spread(value, 0.02)


def fan_in(path, value):
    """The deviation of N(0, 1 / fan in)."""
    shape = value.shape[1:] if "segment_" in path else value.shape
    return math.prod(shape[:2] if path.endswith("/out") else shape[:1]) ** -0.5


@pytest.mark.full
def test_palm_is_fan_in_under_a_table_of_deviation_one(begun):
    for path, value in weights(begun("palm")).items():
        spread(value, 1.0 if path == "embedding/tokens" else fan_in(path, value))


@pytest.mark.parametrize("size", cells(("tiny", "1.1-tiny"), ("tiny",)))
def test_t5_keeps_the_scale_of_scores_in_its_queries(begun, size):
    D, K = 64, 16
    for path, value in weights(begun("t5", size)).items():
        spread(value, 1.0 if path == "embedding/tokens"
               else (D * K) ** -0.5 if path.endswith("query")
               else D**-0.5 if path.endswith("bias/table") else fan_in(path, value))


@pytest.mark.parametrize("name", cells(("bert", "albert", "electra", "modernbert"),
                                       ("electra",)))
def test_bert_is_truncated_and_not_rescaled(begun, name):
    for path, value in weights(begun(name)).items():
        if name == "electra" and path.endswith("embedding/project"):
            bound = math.sqrt(6 / sum(value.shape))  # the default of the authors' dense layers
            assert 0.98 * bound < np.abs(value).max() <= bound
            continue
        assert np.abs(value).max() <= 0.04, path
        if value.size > 1000:
            assert np.abs(value).max() > 0.038
        spread(value, TRUNCATED)


def test_vaswani_is_glorot(begun):
    D, F = 64, 128
    for path, value in weights(begun("vaswani")).items():
        if path == "embedding/tokens":
            spread(value, D**-0.5)
            continue
        total = D + F if "feedforward" in path else D + D  # fan in + fan out of the whole map
        bound = math.sqrt(6 / total)
        assert 0.99 * bound < np.abs(value).max() <= bound, path
        spread(value, bound / math.sqrt(3))


def test_recurrent_weights_begin_as_rotations(begun):
    """Bahdanau 2015 App. B.1."""
    spec = rnn(style="bahdanau", width=64, embedding=64, hidden=64, vocab=256)
    for path, value in weights(begun(spec)).items():
        if path.endswith("recurrent"):
            for n in range(3):
                np.testing.assert_allclose(value[:, n] @ value[:, n].T, np.eye(64), atol=1e-5)
            assert np.abs(value[:, 0] - value[:, 1]).max() > 0.1
        elif path.endswith("align/score"):
            assert (value == 0).all()
        else:
            spread(value, 0.001 if "align" in path else 0.01)


def test_all_of_an_lstm_is_uniform(begun):
    """Sutskever 2014 §3.4; the biases too."""
    for path, value in begun(rnn(style="sutskever", width=64, embedding=64, vocab=256)).items():
        assert 0.07 < np.abs(value).max() <= 0.08, path
        spread(value, 0.08 / math.sqrt(3))


def test_the_key_alone_decides(tiny):
    init = jax.jit(tiny("gpt1").model.init)
    one, again, other = (init(jax.random.key(n))["embedding"]["tokens"] for n in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.99
