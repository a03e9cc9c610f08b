"""Hugging Face directories and checkpoints of random parameters, written without torch."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tiny_configs import CONFIGS, labelled

from transformer.data.no_text import NoText
from transformer.interop import weights
from transformer.interop.config import Config
from transformer.interop.family import known
from transformer.interop.step import seal, write_about, write_state
from transformer.nn.door import Model
from transformer.training import paths


def drawn(spec, dtype=np.float32, seed=0):
    """{path: array} of random parameters, nowhere 0 or 1."""
    draw = np.random.default_rng(seed)
    return {path: (draw.standard_normal(leaf.shape) * 0.3 + path.endswith("scale")).astype(dtype)
            for path, leaf in paths.named(Model(spec).shapes()).items()}


@dataclasses.dataclass(frozen=True)
class Made:
    """A directory of theirs, what it was made from, and the rows of its table."""

    path: object
    spec: object
    params: dict
    tree: dict


@pytest.fixture
def hugging_face(tmp_path):
    """hugging_face(model_type, class, dtype, **entries of config.json) -> Made."""

    def make(model_type, name, dtype=np.float32, place="theirs", shard=weights.SHARD, **entries):
        family = known()[model_type]
        heads = family.architectures[name]
        tree = {"architectures": [name], "model_type": model_type, **CONFIGS[model_type],
                **labelled(heads), **entries}
        tied = tree.get("tie_word_embeddings", family.ties)
        spec = family.spec(Config(tree, "config.json", name, tied), heads)
        params, folder = drawn(spec, dtype), tmp_path / place
        folder.mkdir()
        weights.write(folder, family, name, family.rows(spec), params, shard)
        (folder / "config.json").write_text(json.dumps(tree, indent=2))
        return Made(folder, spec, params, tree)

    return make


@pytest.fixture
def checkpoint(tmp_path):
    """checkpoint(spec, tokenizer, **how) -> a step directory such as our own training leaves."""

    def make(spec, tokenizer=None, place="step", **how):
        path = tmp_path / place
        path.mkdir()
        write_state(path, drawn(spec))
        write_about(path, spec, tokenizer or NoText(size=spec.embedding.vocab).train(), **how)
        seal(path)
        return path

    return make
