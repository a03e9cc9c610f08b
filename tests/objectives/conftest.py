"""A tokenizer and a model that are small enough to reckon with by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

NAMES = ("pad", "unk", "bos", "eos", "mask", "cls", "sep", "start", "delimiter", "extract")
PIECES, VOCABULARY, WIDTH, CLASSES = 32, 36, 4, 3
STOP = 13


class Letters:
    """Ids from 10 on are pieces; the even ones begin a word, and one is a full stop."""

    size, special = PIECES, {name: n for n, name in enumerate(NAMES)}

    def decode(self, ids):
        return "".join("." if n == STOP else " ab"[n % 2 == 1:] for n in ids)

    def word_starts(self):
        return np.arange(self.size) % 2 == 0


def apply(params, batch, rng=None, part=None):
    """A running mean of embeddings, and every head a linear map of it."""
    valid_BT = (batch["segments"] > 0).astype(jnp.float32)
    x_BTD = params["embedding"][batch["tokens"]] * valid_BT[..., None]
    x_BTD = jnp.cumsum(x_BTD, 1) / jnp.maximum(jnp.cumsum(valid_BT, 1), 1)[..., None]
    if "source_tokens" in batch:
        source_BS1 = (batch["source_segments"] > 0).astype(jnp.float32)[..., None]
        source_BSD = params["embedding"][batch["source_tokens"]] * source_BS1
        x_BTD = x_BTD + source_BSD.mean(1, keepdims=True)
    if rng is not None:
        x_BTD = x_BTD * (1 + jax.random.uniform(rng))
    pooled_B = batch.get("pooled", jnp.zeros(len(x_BTD), jnp.int32))
    pooled_BD = jnp.take_along_axis(x_BTD, pooled_B[:, None, None], 1)[:, 0]
    pair_B2 = pooled_BD @ params["span"]
    heads = {"nsp": pair_B2, "sop": pair_B2,
             "logits": x_BTD @ params["vocabulary"], "classes": pooled_BD @ params["classes"],
             "score": pooled_BD @ params["score"], "tags": x_BTD @ params["classes"],
             "span": x_BTD @ params["span"], "replaced": (x_BTD @ params["score"])[..., 0],
             "hidden": x_BTD}
    if "masked" in batch:
        slots_BND = jnp.take_along_axis(x_BTD, batch["masked"][..., None], 1)
        heads["mlm"] = slots_BND @ params["vocabulary"]
    if "spans" in batch:
        spans = batch["spans"].reshape(len(x_BTD), -1, 1)
        sides_BND = jnp.take_along_axis(x_BTD, spans, 1).reshape(*slots_BND.shape[:2], 2, WIDTH)
        heads["boundary"] = sides_BND.sum(2) @ params["vocabulary"]
    return heads


@pytest.fixture(scope="session")
def tokenizer():
    return Letters()


def parameters(vocabulary):
    shapes = {"embedding": (vocabulary, WIDTH), "vocabulary": (WIDTH, vocabulary),
              "classes": (WIDTH, CLASSES), "score": (WIDTH, 1), "span": (WIDTH, 2)}
    rng = np.random.default_rng(0)
    return {name: jnp.array(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def model():
    """(apply, params)"""
    return apply, parameters(VOCABULARY)


@pytest.fixture(scope="session")
def large_model():
    """(apply, params) for a real tokenizer of bytes."""
    return apply, parameters(384)


@pytest.fixture(autouse=True, scope="module")
def hurry():
    """These tests compile many programs and run each for a moment: the compiler may hurry."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
