"""A generator on lent tables beside a discriminator (Clark 2020 §2.1, §3.2)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import plain

from transformer.error import UserError
from transformer.nn.door import Model
from transformer.nn.model import Pair
from transformer.spec import override
from transformer.zoo.electra import electra, encoder

LENT = ("tokens", "types", "positions", "norm")
PARTS = ("generator", "discriminator")
HEADS = dict(zip(PARTS, ("mlm", "replaced")))
SIZE = dict(depth=1, rank=8, vocab=256, length=12)


@pytest.fixture(scope="module")
def small(build):
    """A generator half as wide as its discriminator."""
    return build(plain(electra(width=12, heads=1, generator=0.5, **SIZE)), "replaced")


def test_the_generator_owns_no_table():
    def owned(generator):
        shapes = Model(electra(width=16, heads=2, generator=generator, **SIZE)).shapes()
        assert set(shapes["discriminator"]["embedding"]) == {*LENT, "project", "project_bias"}
        return set(shapes["generator"].get("embedding", ()))

    assert owned(0.25) == owned(1.0) == {"project", "project_bias"}
    assert owned(0.5) == set()  # as wide as the tables: nothing to map


def test_both_parts_train_what_is_lent_and_neither_the_other(small):
    used = np.unique(small.batch["tokens"])  # rows that are looked up; the others are only scored
    unused = np.setdiff1d(np.arange(256), used)

    def loss(params, part):
        out = small.model.apply(params, small.batch)[HEADS[part]]
        return ((out if part == "discriminator" else out[..., unused]) ** 2).sum()

    slopes = jax.jit(lambda params: {part: jax.grad(loss)(params, part) for part in PARTS})(
        small.params)
    largest = lambda tree: max(np.abs(leaf).max() for leaf in jax.tree.leaves(tree))
    for mine, other in (PARTS, PARTS[::-1]):
        slope = slopes[mine]
        for name in LENT:
            assert largest(slope["discriminator"]["embedding"][name]) > 0, (mine, name)
        assert np.abs(slope["discriminator"]["embedding"]["tokens"][used]).max(1).min() > 0
        assert largest(slope[mine]["embedding"]["project"]) > 0 < largest(slope[mine]["stack"])
        alone = {name: tree for name, tree in slope[other].items() if name != "embedding"}
        alone["project"] = slope[other]["embedding"]["project"]  # each maps the tables by its own
        assert largest(alone) == 0


@pytest.mark.parametrize("part", PARTS)
def test_a_part_runs_without_the_weights_of_the_other(small, part):
    """Of the discriminator, the generator needs the embedding."""
    params = {"generator": small.params["generator"],
              "discriminator": {"embedding": small.params["discriminator"]["embedding"]}}
    if part == "discriminator":
        params = {"discriminator": small.params["discriminator"]}
    run = lambda params: small.model.apply(params, small.batch, part=part)
    shapes = jax.eval_shape(run, params)
    assert set(shapes) == {HEADS[part], "hidden", "pooled"}
    assert shapes["hidden"].shape[-1] == {"generator": 6, "discriminator": 12}[part]


def test_both_are_the_two_alone(small):
    run = lambda params: [small.model.apply(params, small.batch, part=part)
                          for part in (None, *PARTS)]
    both, *alone = jax.jit(run)(small.params)
    assert set(both) == {"mlm", "replaced", "hidden", "pooled"}
    np.testing.assert_allclose(both["mlm"], alone[0]["mlm"], atol=1e-6)
    for name in ("replaced", "hidden", "pooled"):  # the stream that is kept
        np.testing.assert_allclose(both[name], alone[1][name], atol=1e-6)


def test_the_parts_draw_their_dropout_apart(build):
    one = plain(encoder(width=8, heads=1, dropout=0.5, outputs=(), **SIZE))
    twins = build(Pair(generator=one, discriminator=one), None)
    params = {**twins.params, "generator": {"stack": twins.params["discriminator"]["stack"]}}

    @jax.jit
    def gap(params, key):
        """Between the streams of the two, whose weights are equal."""
        streams = [twins.model.apply(params, twins.batch, key, part=part)["hidden"]
                   for part in PARTS]
        return jnp.abs(streams[0] - streams[1]).max()

    assert gap(params, None) == 0 and gap(params, jax.random.key(1)) > 0.1


@pytest.mark.parametrize("path,text", [
    ("vocab", "300"), ("rank", "16"), ("types", "0"), ("position.length", "32"),
    ("norm.eps", "1e-5")])
def test_two_that_cannot_share_are_refused(path, text):
    pair = electra("tiny")
    other = override(pair.generator, f"embedding.{path}", text)
    with pytest.raises(UserError, match="share one embedding; give both the same vocab, rank"):
        dataclasses.replace(pair, generator=other)
