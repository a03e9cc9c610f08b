"""How a model runs changes memory and time, never values or gradients."""

import functools
import itertools
import re

import jax
import numpy as np
import pytest
from families import ALL

from transformer.nn.context import Run
from transformer.spec import from_json, to_json

# Dropout only where it is named: what is recomputed must draw the same masks again.
COVER = [("gpt1", "dots", 1, True), ("gpt1", "full", 4, True), ("t5", "full", 2, False),
         ("t5", "attention", 1, False)]
GRID = [(name, *run, True) for name in ("gpt1", "vaswani")
        for run in itertools.product(("none", "attention", "dots", "full"), (1, 2, 4))]
GRID += [(name, *run, True) for name in ALL for run in (("dots", 2), ("full", 4))]


def deeper(spec, repeats: int):
    """The value with every pattern of every stack repeated so often."""
    def change(tree):
        if isinstance(tree, list):
            return [change(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        return {k: repeats if k in ("repeats", "depth") else change(v) for k, v in tree.items()}

    return from_json(change(to_json(spec)))


@pytest.fixture(scope="module")
def compiled(tiny, build):
    """compiled(family, remat, unroll, dropout) -> loss, gradient, the jaxpr of both."""

    @functools.cache
    def small(name):
        return build(deeper(tiny(name).spec, 3), tiny(name).head)  # 3: no unroll divides it

    @functools.cache
    def compiled(name, remat, unroll, dropout):
        one, run = small(name), Run(remat=remat, unroll=unroll)

        def loss(params, batch, key):
            out = one.model.apply(params, batch, key if dropout else None, run)
            return sum((out[head] ** 2).mean() for head, _ in one.spec.heads)

        step = jax.jit(jax.value_and_grad(loss)).trace(one.params, one.batch, jax.random.key(0))
        program = step.lower().compile()
        return *program(one.params, one.batch, jax.random.key(0)), str(step.jaxpr)

    return compiled


def agree(compiled, name, remat, unroll, dropout):
    value, slope, _ = compiled(name, "none", 1, dropout)
    again, same, _ = compiled(name, remat, unroll, dropout)
    np.testing.assert_allclose(again, value, rtol=1e-6)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(slope))
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("name,remat,unroll,dropout", COVER)
def test_remat_and_unroll_change_no_value(compiled, name, remat, unroll, dropout):
    agree(compiled, name, remat, unroll, dropout)


@pytest.mark.full
@pytest.mark.parametrize("name,remat,unroll,dropout", GRID)
def test_every_remat_and_unroll_changes_no_value(compiled, name, remat, unroll, dropout):
    agree(compiled, name, remat, unroll, dropout)


def test_the_programs_differ_as_their_names_say(compiled):
    """Otherwise the tests above compare a program with itself."""
    texts = [compiled("gpt1", *run, True)[2] for run in (("none", 1), ("dots", 1), ("full", 4))]
    matmuls = [text.count("dot_general") for text in texts]
    activations = [len(re.findall(r"= tanh\b", text)) for text in texts]
    assert matmuls[0] == matmuls[1] < matmuls[2]  # recomputed by "full" only
    assert activations[0] < activations[1] == activations[2]  # and by "dots"
    for text, unroll in zip(texts, (1, 1, 4)):
        assert f"unroll={unroll}\n" in text


def test_remat_of_attention_makes_scores_again_and_nothing_else(compiled):
    """T5's bias goes to the backend that would keep the scores."""
    kept, remade = (compiled("t5", remat, 1, False)[2] for remat in ("none", "attention"))
    count = lambda word: [len(re.findall(rf"= {word}\b", text)) for text in (kept, remade)]
    exps, (norms, again) = count("exp"), count("rsqrt")
    attentions = 2  # with the bias, of the encoder and the decoder; the tiles between keep none
    assert exps[1] == exps[0] + attentions and again == norms
