"""Strict shapes, full precision, one compilation cache, and the tiny models all tests share."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

# A broadcast that adds dimensions is nearly always a missing axis.
SETTINGS = {
    "jax_numpy_rank_promotion": "raise",
    "jax_default_matmul_precision": "highest",
    "jax_persistent_cache_min_compile_time_secs": "0.1",
}
ROWS, LENGTH, SOURCE = 4, 12, 7  # one shape for all tests, so that each family compiles once


def pytest_configure(config):
    kept = getattr(config, "cache", None)
    folder = kept.mkdir("jax") if kept else os.path.join(tempfile.gettempdir(), "jax-test-cache")
    settings = {"jax_compilation_cache_dir": str(folder), **SETTINGS}
    for name, value in settings.items():  # by environment: programs that tests start obey it too
        os.environ[name.upper()] = value
    if "jax" in sys.modules:  # a plugin was earlier
        for name, value in settings.items():
            number = name.endswith("secs")
            sys.modules["jax"].config.update(name, float(value) if number else value)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A tiny model of one family, parameters that are nowhere 0 or 1, and a batch of its shape.

    No token occurs twice in the batch, so a gradient with respect to a row of the token table is a
    gradient with respect to one place.
    """

    name: str
    model: Any
    params: dict
    batch: dict
    head: str
    forward: Callable  # jitted (params, batch, rng=None, run=Run())

    @property
    def spec(self):
        return self.model.spec


def scattered(shapes, seed=0):
    """Parameters of these shapes, norm scales around 1 and everything else around 0."""
    import jax

    draw = np.random.default_rng(seed)

    def one(path, leaf):
        middle = 1.0 if jax.tree_util.keystr(path).endswith("['scale']") else 0.0
        return (middle + 0.1 * draw.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(one, shapes)


def distinct(spec, rows=ROWS, length=LENGTH, source=SOURCE, seed=0):
    """A batch with every key that changes a shape, all rows whole, no token twice."""
    import jax.numpy as jnp

    from transformer.nn.door import Model

    draw = np.random.default_rng(seed)
    pair = "source_tokens" in Model(spec).example()
    sides = {"": length, **({"source_": source} if pair else {})}
    ids = draw.permutation(np.arange(5, spec.embedding.vocab))
    batch = {"index": np.arange(rows)}
    for prefix, size in sides.items():
        batch[prefix + "tokens"], ids = ids[:rows * size].reshape(rows, size), ids[rows * size:]
        batch[prefix + "segments"] = np.ones((rows, size), int)
        batch[prefix + "positions"] = np.tile(np.arange(size), (rows, 1))
    if spec.embedding.types:
        batch["types"] = draw.integers(0, spec.embedding.types, (rows, length))
    return {name: jnp.asarray(value, jnp.int32) for name, value in batch.items()}


@functools.cache
def make(name: str, size: str = "") -> Tiny:
    import jax
    from families import value

    from transformer.nn.door import Model

    model = Model(value(name, size))
    return Tiny(name, model, scattered(model.shapes()), distinct(model.spec),
                next((h for h in ("logits", "replaced", "mlm") if h in dict(model.spec.heads))),
                jax.jit(model.apply, static_argnames="run"))


@pytest.fixture(scope="session")
def tiny():
    """tiny(family name) -> Tiny."""
    return make


@pytest.fixture(scope="session")
def build():
    """build(spec) -> Tiny, of any other architecture."""
    import jax

    from transformer.nn.door import Model

    def build(spec, head="logits"):
        model = Model(spec)
        return Tiny("", model, scattered(model.shapes()), distinct(spec), head,
                    jax.jit(model.apply, static_argnames="run"))

    return build
