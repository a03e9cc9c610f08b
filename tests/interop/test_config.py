"""Entries of config.json that no model can have: one line about each, before anything is made."""

import pytest
from tiny_configs import CONFIGS

from transformer.error import UserError
from transformer.interop.config import LARGEST, Config
from transformer.interop.family import known
from transformer.nn.door import Model


def spec_of(model_type, **entries):
    family = known()[model_type]
    name, heads = next(iter(family.architectures.items()))
    return family.spec(Config({**CONFIGS[model_type], **entries}, "config.json", name), heads)


@pytest.mark.parametrize(("model_type", "name", "value"), [
    ("t5", "relative_attention_max_distance", 10**12),
    ("t5", "relative_attention_max_distance", LARGEST), ("t5", "feed_forward_proj", 5),
    ("t5", "feed_forward_proj", []), ("qwen3", "layer_types", 5), ("qwen3", "layer_types", "full"),
    ("llama", "vocab_size", 10**20), ("llama", "rms_norm_eps", 10**400),
    ("llama", "rms_norm_eps", float("nan")), ("bart", "max_position_embeddings", 10**20)])
def test_values_that_cannot_be_meant_are_refused(model_type, name, value):
    with pytest.raises(UserError, match=f"{name} is|RelativeBias.distance is .* at most 1,048,576"):
        spec_of(model_type, **{name: value})


def test_the_largest_sizes_are_still_numbers_of_a_program():
    shapes = Model(spec_of("bart", max_position_embeddings=LARGEST, vocab_size=LARGEST)).shapes()
    assert shapes["embedding"]["positions"].shape == (LARGEST + 2, 30)
