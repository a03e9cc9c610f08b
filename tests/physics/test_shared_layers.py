"""Layers that share parameters are layers with equal parameters (Lan 2020 §3.1)."""

import jax
import numpy as np
import pytest
from families import plain

from transformer.error import UserError
from transformer.nn.door import Model
from transformer.nn.stack import Segment
from transformer.zoo.albert import albert

BOTH = ("attention", "feedforward")
SIZE = dict(width=16, heads=2, rank=8, vocab=256, length=16, outputs=(), pooler=False)


def whole(spec):
    """The value itself."""
    return spec


def copied(params, repeats):
    """Parameters of the stack that shares nothing, each layer with a copy of what was shared."""
    stack = dict(params["stack"])
    for name in [name for name in stack if name.startswith("shared_")]:
        copies = jax.tree.map(lambda leaf: np.stack([leaf] * repeats), stack.pop(name))
        segment = name.replace("shared", "segment")
        stack[segment] = {**stack.get(segment, {}), **copies}
    return {**params, "stack": stack}


@pytest.mark.parametrize("how,made", [
    (dict(depth=4, groups=2, shared=("attention",)), plain),
    pytest.param(dict(depth=4, groups=2, inner=2, shared=BOTH), plain, marks=pytest.mark.full),
    pytest.param(dict(depth=3, shared=("feedforward",)), whole, marks=pytest.mark.full),
    pytest.param(dict(depth=4, inner=2, shared=BOTH), whole, marks=pytest.mark.full),
], ids=lambda part: getattr(part, "__name__", str(part)))
def test_sharing_is_copying_and_its_gradient_the_sum_over_copies(build, how, made):
    shared, apart = (build(made(albert(**SIZE, **{**how, **more})), "hidden")
                     for more in ({}, {"shared": ()}))
    repeats = how["depth"] // how.get("groups", 1)
    params = copied(shared.params, repeats)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, apart.params)

    def slopes(small, params):
        loss = lambda params: (small.model.apply(params, small.batch)["hidden"] ** 3).mean()
        return jax.jit(jax.value_and_grad(loss))(params)

    value, slope = slopes(shared, shared.params)
    again, of_copies = slopes(apart, params)
    np.testing.assert_allclose(value, again, rtol=1e-6)
    found, wanted = slope["stack"], of_copies["stack"]
    top = max(np.abs(leaf).max() for leaf in jax.tree.leaves(found))
    for name, tree in found.items():
        alike = {key: wanted[name.replace("shared", "segment")][key] for key in tree}
        if name.startswith("shared_"):
            alike = jax.tree.map(lambda leaf: leaf.sum(0), alike)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * top), tree, alike)


def test_what_is_shared_lies_once_beside_the_stack():
    def names(**how):
        stack = Model(albert(**SIZE, **how)).shapes()["stack"]
        return {part: sorted({key.split("_")[1] for key in tree}) for part, tree in stack.items()}

    both = ["attention", "feedforward"]
    assert names(depth=4) == {"shared_0": both}
    assert names(depth=4, groups=2) == {"shared_0": both, "shared_1": both}
    assert names(depth=4, shared=()) == {"segment_0": both}
    assert names(depth=4, shared=("attention",)) == {  # each with its norm
        "segment_0": ["feedforward"], "shared_0": ["attention"]}
    inner = Model(albert(**SIZE, depth=4, inner=3)).shapes()["stack"]["shared_0"]
    assert {key[0] for key in inner} == {"0", "1", "2"}


def test_the_norm_of_a_parallel_block_is_shared_where_all_of_it_is(tiny):
    segment = tiny("palm").spec.stack.segments[0]
    for shared, wanted in ((BOTH, True), (("attention",), False), ((), False)):
        assert Segment(pattern=segment.pattern, repeats=2, shared=shared).shares("0_norm") == wanted


def test_groups_begin_apart():
    model = Model(plain(albert(**SIZE, depth=2, groups=2)))
    stack = jax.jit(model.init)(jax.random.key(0))["stack"]
    one, other = (stack[f"shared_{n}"]["0_feedforward"]["up"] for n in (0, 1))
    assert (one != other).mean() > 0.99


def test_mistakes_are_refused():
    block = albert("tiny").stack.segments[0].pattern[0]
    with pytest.raises(UserError, match="Segment.shared names norm, but its sublayers are attention"
                                        ", feedforward"):
        Segment(pattern=(block,), repeats=2, shared=("norm", "attention"))
    with pytest.raises(UserError, match="albert: depth 12 does not divide into 5 groups"):
        albert(groups=5)
