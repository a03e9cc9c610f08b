"""Replaced-token detection: what is drawn, what counts as replaced, and where gradients stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.replaced_token import ReplacedToken, placed
from transformer.ops.sampling import draw
from transformer.zoo.electra import electra

MASK, V = 4, 32
BATCH = {
    # cls, a mask, 12, an unmasked place, 13, sep, padding; the third slot is unused
    "tokens": np.array([[5, MASK, 12, 14, 13, 6, 0]], np.int32),
    "segments": np.array([[1, 1, 1, 1, 1, 1, 0]], np.int32),
    "masked": np.array([[1, 3, 0]], np.int32), "targets": np.array([[11, 14, 0]], np.int32),
    "weights": np.array([[1, 1, 0]], np.float32), "index": np.array([7], np.int32)}
JUDGED = np.array([[0.5, -1.0, 2.0, 3.0, -0.5, 0.0, 9.0]], np.float32)


def certain(*ids):
    """Logits [1, N, V] that draw these."""
    return 1e6 * np.eye(V, dtype=np.float32)[None, list(ids)]


def terms(drawn, objective=ReplacedToken(), batch=BATCH):
    """(terms, the batch that the discriminator read)."""
    read = {}

    def apply(params, batch, rng=None, part=None):
        read[part] = batch
        return {"generator": {"mlm": certain(*drawn)}, "discriminator": {"replaced": JUDGED}}[part]

    found = objective.loss(apply, {}, batch, jax.random.key(0), False)
    assert set(read) == {"generator", "discriminator"} and read["generator"] is batch
    return found, read["discriminator"]


def test_a_token_drawn_right_counts_as_real():
    """11 is right, 20 at the place that stayed is wrong: one of the six tokens is replaced."""
    found, read = terms([11, 20, 30])
    assert read["tokens"].tolist() == [[5, 11, 12, 20, 13, 6, 0]]
    labels, logits = np.array([0, 0, 0, 1, 0, 0]), JUDGED[0, :6].astype(float)
    p = 1 / (1 + np.exp(-logits))
    nats = -np.log(np.where(labels, p, 1 - p))
    np.testing.assert_allclose(found["replaced"].sum, nats.sum(), rtol=1e-5)
    assert found["replaced"][1:] == (6, 50) and found["masked"][1:] == (2, 1)
    assert found["detection"].sum == 4  # two real tokens got a positive logit
    assert found["accuracy"].sum == 1


def test_weights_of_the_losses_are_fields():
    found, _ = terms([11, 20, 30], ReplacedToken(generator=0.5, discriminator=10.0))
    assert (found["masked"].coefficient, found["replaced"].coefficient) == (0.5, 10)
    with pytest.raises(UserError, match="discriminator is -1"):
        ReplacedToken(discriminator=-1.0)


def test_unused_slots_change_nothing():
    batch = {**BATCH, "weights": np.zeros((1, 3), np.float32)}
    assert placed(batch, jnp.full((1, 3), 30)).tolist() == BATCH["tokens"].tolist()


def test_draws_follow_the_softmax_and_the_row_alone():
    share = np.array([0.5, 0.3, 0.15, 0.05])
    logits = jnp.broadcast_to(jnp.log(share.astype(np.float32)), (200, 50, 4))
    keys = jax.vmap(jax.random.key)(jnp.arange(200))
    drawn = jax.jit(draw)(logits, keys)
    counts = np.bincount(np.asarray(drawn).ravel(), minlength=4)
    assert (np.abs(counts - 1e4 * share) < 4 * np.sqrt(1e4 * share * (1 - share))).all()
    np.testing.assert_array_equal(jax.jit(draw)(logits[40:60], keys[40:60]), drawn[40:60])


def test_padding_rows_of_evaluation_have_a_key():
    terms([11, 20, 30], batch={**BATCH, "index": np.array([-1], np.int32)})


def test_85_percent_are_masked_and_none_is_random(tokenizer):
    """Of a million tokens 15 in 100, by Python's round; 3 sigma."""
    objective, masked, same, rows = ReplacedToken(), 0, 0, 2000
    text = np.random.default_rng(0).integers(10, 32, (rows, 512)).astype(np.int32)
    text[:, 0], text[:, -1] = 5, 6
    for n, tokens in enumerate(text):
        made = objective.prepare({"tokens": tokens, "segments": np.ones(512, np.int32)},
                                 np.random.default_rng(n), tokenizer)
        assert made["masked"].shape == (77,) == np.unique(made["masked"]).shape
        now = made["tokens"][made["masked"]]
        masked += (now == MASK).sum()
        same += (now == made["targets"]).sum()
        assert made["tokens"][0] == 5 and made["tokens"][-1] == 6
    assert masked + same == 77 * rows
    assert abs(masked - 0.85 * 77 * rows) < 3 * np.sqrt(0.85 * 0.15 * 77 * rows)


def test_no_gradient_flows_through_the_draw(build):
    """A detection loss alone leaves exactly zero at all that only the generator owns."""
    pair = build(electra(width=16, depth=1, heads=2, rank=8, vocab=64, length=8, generator=0.5,
                         dropout=0.0))

    @jax.jit
    def gradients(params):
        def loss(params, name):
            found = ReplacedToken().loss(pair.model.apply, params, BATCH, jax.random.key(1), True)
            return found[name].sum

        return {name: jax.grad(loss)(params, name) for name in ("replaced", "masked")}

    grads = gradients(pair.params)
    largest = lambda tree: max(np.abs(leaf).max() for leaf in jax.tree.leaves(tree))
    assert largest(grads["replaced"]["generator"]) == 0 < largest(grads["masked"]["generator"])
    tables = {name: tree["discriminator"]["embedding"] for name, tree in grads.items()}
    assert min(largest(tables["replaced"]), largest(tables["masked"])) > 0
    assert largest(grads["masked"]["discriminator"]["stack"]) == 0
