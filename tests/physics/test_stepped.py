"""What steps call: scores unmade, and no segments where they say nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.nn.door import Model
from transformer.objectives.next_token import NextToken
from transformer.ops.unscored import Unscored
from transformer.spec import override

REACH = "stack.segments.0.pattern.0.sublayers.attention.reach"


@pytest.fixture(scope="module")
def padded(tiny):
    small = tiny("gpt2")
    rows, length = small.batch["tokens"].shape
    segments = np.ones((rows, length), np.int32)
    segments[1, 7:], segments[2, 3:] = 0, 0
    batch = {name: array for name, array in small.batch.items() if name != "positions"}
    weights = np.roll(segments, -1, 1) * segments
    weights[:, -1] = 0
    return small, {**batch, "segments": jnp.asarray(segments), "targets": batch["tokens"][:, ::-1],
                   "weights": jnp.asarray(weights, jnp.float32)}


def test_padding_behind_a_document_needs_no_segments(padded):
    """Loss and gradients are those with the segments, whatever stands in the padding."""
    small, batch = padded

    def loss(params, apply, batch):
        terms = NextToken().loss(apply, params, batch, jax.random.key(0), True)
        return terms["next_token"].sum

    both = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    garbage = jnp.where(batch["segments"] > 0, batch["tokens"], 17)
    want = both(small.params, small.model.apply, batch)
    got = both(small.params, small.model.stepped(), {**batch, "tokens": garbage})
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    assert isinstance(small.model.stepped()(small.params, batch)["logits"], Unscored)


@pytest.mark.parametrize("name,change,more,kept", [
    ("gpt2", None, {}, False), ("llama", None, {}, False), ("gpt3", None, {}, False),
    ("gpt2", None, {"positions": 0}, True),  # several documents may share a row
    ("gpt2", "Everywhere()", {}, True), ("gpt2", "Either(one=Causal(), other=Prefix())", {}, True),
    ("bert", None, {}, True)], ids=str)
def test_segments_go_only_where_attention_only_looks_back(tiny, monkeypatch, name, change, more,
                                                          kept):
    spec = tiny(name).spec
    model = Model(override(spec, REACH, change) if change else spec)
    batch = {"tokens": jnp.zeros((1, 4), jnp.int32), "segments": jnp.ones((1, 4), jnp.int32)}
    batch |= {key: jnp.arange(4)[None] for key in more}
    seen = []
    monkeypatch.setattr(Model, "apply", lambda self, params, batch, *_, **how: seen.append(batch))
    model.stepped()(None, batch)
    assert ("segments" in seen[0]) == kept
