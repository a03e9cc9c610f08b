"""Encoders against `transformers`, beyond the plain classes that `test_torch_interop.py` runs: what
else a config.json can say on the way in, and our own models on the way out.

Random weights, every bias and norm scale moved off its initial value, odd sizes, padding on either
side that holds padding and ordinary tokens. Run with `pytest -m torch` as `test_torch.py`.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from transformer.interop import original
from transformer.interop.arrays import Translation
from transformer.interop.counterpart import counterpart
from transformer.interop.exporting import send
from transformer.interop.folder import Folder
from transformer.interop.importing import read
from transformer.interop.safetensors import File
from transformer.interop.table import tensor
from transformer.nn.door import Model
from transformer.nn.head import Classes, TokenClasses
from transformer.spec import override
from transformer.training import paths
from transformer.zoo import albert, bert, distilbert, electra, modernbert, roberta

pytestmark = pytest.mark.torch

B, T, V, PAD = 4, 11, 61, 1
# Row 0 whole, row 1 padded right, row 2 padded left, row 3 on both sides.
REAL = np.array([[1] * 11, [1] * 6 + [0] * 5, [0] * 4 + [1] * 7, [0] + [1] * 7 + [0] * 3])
WIDE = dict(vocab_size=V, hidden_size=30, num_hidden_layers=3, intermediate_size=44,
            num_attention_heads=5, max_position_embeddings=17, pad_token_id=PAD)
CONFIGS = {
    "Roberta": WIDE | dict(type_vocab_size=3, layer_norm_eps=1e-5),
    "Electra": WIDE | dict(embedding_size=18), "Albert": WIDE | dict(embedding_size=18),
    "DistilBert": dict(vocab_size=V, dim=30, n_layers=3, n_heads=5, hidden_dim=44,
                       max_position_embeddings=13, pad_token_id=PAD),
    "ModernBert": WIDE | dict(num_hidden_layers=6, local_attention=5),
}
THEIRS = {
    "roberta, tanh form": ("Roberta", "MaskedLM", dict(hidden_act="gelu_new")),
    "roberta, padding is 4": ("Roberta", "SequenceClassification", dict(pad_token_id=4)),
    "electra, tables as wide as the stream": ("Electra", "PreTraining", dict(embedding_size=30)),
    "electra, tanh form": ("Electra", "PreTraining", dict(hidden_act="gelu_new")),
    "electra, generator, tanh form": ("Electra", "MaskedLM", dict(hidden_act="gelu_new")),
    "electra, choices": ("Electra", "MultipleChoice", dict(summary_activation="tanh")),
    "albert, exact form": ("Albert", "PreTraining", dict(hidden_act="gelu", embedding_size=30)),
    "albert, groups": ("Albert", "MaskedLM", dict(num_hidden_layers=5, num_hidden_groups=2,
                                                  inner_group_num=2)),
    "distilbert, relu": ("DistilBert", "MaskedLM", dict(activation="relu")),
    "modernbert, every bias": ("ModernBert", "MaskedLM", dict(
        attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True)),
    "modernbert, mean": ("ModernBert", "SequenceClassification", dict(classifier_pooling="mean")),
    "modernbert, mean of choices": ("ModernBert", "MultipleChoice", dict(
        classifier_pooling="mean")),
    "modernbert, choices": ("ModernBert", "MultipleChoice", {}),
    "modernbert, one layer": ("ModernBert", "MaskedLM", dict(num_hidden_layers=1)),
    "modernbert, other layers": ("ModernBert", "MaskedLM", dict(
        layer_types=["sliding_attention", "full_attention", "full_attention",
                     "sliding_attention", "full_attention", "sliding_attention"],
        classifier_activation="silu", hidden_activation="gelu_new",
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0,
                                            "rope_theta": 900.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})),
}


@pytest.fixture(scope="module")
def transformers():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers


def inputs_of(model) -> dict:
    """Inputs of every row."""
    draw, config = np.random.default_rng(0), model.config
    ids = draw.integers(5, V, (B, T))
    padding = np.where(draw.integers(0, 2, (B, T)), config.pad_token_id, ids)
    inputs = {"input_ids": np.where(REAL, ids, padding), "attention_mask": REAL}
    if getattr(config, "type_vocab_size", 0):
        inputs["token_type_ids"] = draw.integers(0, config.type_vocab_size, (B, T))
    if type(model).__name__.endswith("MultipleChoice"):
        inputs = {name: array.reshape(2, 2, T) for name, array in inputs.items()}
    return inputs


def answers(model, inputs: dict) -> dict:
    """{output: array} of theirs."""
    import torch

    with torch.no_grad():
        made = model(**{name: torch.as_tensor(array) for name, array in inputs.items()})
    return {name: value.numpy() for name, value in made.items() if torch.is_tensor(value)}


def outputs(spec, params, inputs, family, config) -> dict:
    """Ours under the same names."""
    translation = Translation(spec, family, config)
    apply = jax.jit(lambda params, batch: Model(spec).apply(params, batch))
    made = jax.device_get(apply(params, translation.batch(inputs)))
    return translation.outputs(made, inputs["input_ids"].shape)


def require_equal(model, inputs, made):
    """Our outputs are theirs at every real token, within ten times the rounding of theirs."""
    single, double = answers(model, inputs), answers(model.double(), inputs)
    assert single and single.keys() <= made.keys()
    for name, expected in single.items():
        assert made[name].shape == expected.shape, name
        got, exact, expected = (original.real(inputs, each)
                                for each in (made[name], double[name], expected))
        tolerance = min(max(2e-5, 10 * np.abs(expected - exact).max()), 2e-4)
        assert np.abs(got - expected).max() <= tolerance, name
        assert np.ptp(expected) > 0.05, name  # and there is something to be equal


@pytest.mark.parametrize("case", THEIRS)
def test_comes_in_computes_the_same_and_goes_out_unchanged(transformers, tmp_path, case):
    import torch

    family, head, more = THEIRS[case]
    entries = {**CONFIGS[family], **more}
    if "Classification" in head:
        entries["num_labels"] = 3
    config = getattr(transformers, f"{family}Config")(**entries)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{family}For{head}")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    model.save_pretrained(tmp_path)

    found, inputs = read(Folder(tmp_path)), inputs_of(model)
    require_equal(model, inputs, outputs(found.spec, paths.nested(found.params), inputs,
                                         found.family, found.config))
    back = counterpart(found.spec, found.params, found.family, found.config.tree)
    assert back.architecture == type(model).__name__
    file = File(tmp_path / "model.safetensors")
    written = {found.family.written(back.architecture, name): tensor(each, back.params, n)
               for each in back.rows for n, name in enumerate(each.names())}
    assert written.keys() == file.entries.keys()
    assert all(np.array_equal(array, file.read(name)) for name, array in written.items())
    assert {n: v for n, v in back.tree.items() if n in found.config.tree} == found.config.tree


def ours():
    """(name, architecture, part of a pair) of models as they are trained here."""
    size = dict(width=24, heads=4, vocab=V)
    row, each = (("classes", Classes(classes=3)),), (("tags", TokenClasses(classes=3)),)
    pair = electra.electra(depth=2, rank=12, length=16, generator=0.5, **size)
    mean = override(modernbert.modernbert(depth=5, hidden=20, reach=2, pooler=True, outputs=row,
                                          **size), "pooler.over", "mean")
    yield "albert", albert.albert(depth=4, rank=12, length=16, groups=2, inner=2, **size), None
    yield "bert", bert.bert(depth=2, length=16, **size), None
    yield "distilbert", distilbert.distilbert(depth=2, length=16, outputs=each, **size), None
    yield "electra, discriminator", pair, "discriminator"
    yield "electra, generator", pair, "generator"
    yield "modernbert", modernbert.modernbert(depth=3, hidden=20, reach=2, **size), None
    yield "modernbert, mean", mean, None
    yield "roberta", roberta.roberta(depth=2, length=16, offset=2, **size), None


OURS = {name: rest for name, *rest in ours()}


@pytest.mark.parametrize("name", OURS)
def test_our_own_goes_out_and_computes_the_same(transformers, tmp_path, monkeypatch, build, name):
    spec, part = OURS[name]
    tiny, pad = build(spec), 3
    monkeypatch.setattr(original, "missing", lambda: ["torch, for speed,"])
    experiment = SimpleNamespace(rows=SimpleNamespace(length=16), task=None)
    tokenizer = SimpleNamespace(size=V, special={"pad": pad}, spec=None)
    report = send(SimpleNamespace(model=tiny.model, params=tiny.params, tokenizer=tokenizer,
                                  experiment=experiment, path=tmp_path), tmp_path / "out", part)
    model, told = getattr(transformers, report["architecture"]).from_pretrained(
        tmp_path / "out", attn_implementation="eager", output_loading_info=True)
    assert not any(told.values()), told
    inputs = inputs_of(model)
    inputs["input_ids"] = np.where(REAL, inputs["input_ids"], pad)
    whole = {key: array[:2] for key, array in inputs.items()}  # ours count padding on the left
    family_spec = getattr(spec, part) if part else spec
    made = Translation(family_spec).batch(whole)
    made = jax.device_get(tiny.model.apply(tiny.params, made, **({"part": part} if part else {})))
    require_equal(model.eval(), whole,
                  Translation(family_spec).outputs(made, whole["input_ids"].shape))
