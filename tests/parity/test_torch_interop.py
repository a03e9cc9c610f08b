"""Every class of every family against `transformers`: in, the same outputs, and out again.

Random weights, every bias and norm scale moved off its initial value, odd sizes, padding. Run with
`pytest -m torch` where torch and transformers are installed.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from tiny_configs import CONFIGS, labelled  # noqa: E402

from transformer.interop import exporting, original  # noqa: E402
from transformer.interop.family import known  # noqa: E402
from transformer.interop.importing import bring  # noqa: E402
from transformer.loaded import load  # noqa: E402
from transformer.verbs.logits import forward  # noqa: E402

pytestmark = pytest.mark.torch

B, T, V = 4, 11, 61
# Row 0 whole, row 1 padded right, row 2 padded left, row 3 on both sides.
REAL = np.array([[1] * 11, [1] * 6 + [0] * 5, [0] * 4 + [1] * 7, [0] + [1] * 7 + [0] * 3])
SOURCE = np.array([[1] * 11, [1] * 6 + [0] * 5, [0] * 4 + [1] * 7, [1] * 9 + [0] * 2])
CLASSES = [(family.model_type, name) for family in known().values()
           for name in family.architectures]


@pytest.fixture(scope="module", autouse=True)
def torch():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    return torch


def made(model_type, name, **more):
    """A model of theirs whose parameters and buffers are nowhere what they began as."""
    import torch
    import transformers

    heads = known()[model_type].architectures[name]
    config = transformers.AutoConfig.for_model(
        model_type, attn_implementation="eager",
        **{**CONFIGS[model_type], **labelled(heads), **more})
    model = getattr(transformers, name)(config).eval()
    for path, parameter in model.named_parameters():
        if model_type != "marian" or "embed_positions" not in path:  # sinusoids, a constant there
            parameter.add_(0.1 * torch.randn(parameter.shape))
    if more.get("feed_forward_proj") and not config.scale_decoder_outputs:  # T5 1.1: not tied
        model.lm_head.weight = torch.nn.Parameter(0.3 * torch.randn(model.lm_head.weight.shape))
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.add_(torch.randn(model.final_logits_bias.shape))
    return model


def inputs_of(model_type, name, model):
    """Inputs of every kind that the class reads."""
    draw, heads = np.random.default_rng(0), known()[model_type].architectures[name]
    config = model.config
    pad, eos = getattr(config, "pad_token_id", None), getattr(config, "eos_token_id", None)
    ids = draw.integers(5, V - 2, (B, T))
    if model_type == "roberta" or set(heads) & {"classes"}:
        ids = np.where(REAL > 0, ids, pad)
    inputs = {"input_ids": ids, "attention_mask": REAL}
    if getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = draw.integers(0, 2, (B, T))
    two = getattr(config, "is_encoder_decoder", False) and hasattr(model, "get_decoder") and (
        "Encoder" not in name and "TokenClassification" not in name)
    if two:
        inputs["attention_mask"] = SOURCE
        inputs |= {"decoder_input_ids": draw.integers(5, V - 2, (B, T)),
                   "decoder_attention_mask": SOURCE}
        if "classes" in heads:  # read at the only end of each source
            inputs["input_ids"] = ids = draw.integers(5, V - 2, (B, T))
            ids[np.arange(B), [4, 2, 5, 8]] = eos
    if "score" in heads:
        inputs = {key: array.reshape(2, 2, T) for key, array in inputs.items()}
        if "logits" in heads:
            inputs["mc_token_ids"] = np.array([[10, 5], [10, 7]])
    return inputs


def answers(model, inputs):
    """{output: array} of theirs, and the same in float64."""
    import torch

    given = {name: torch.as_tensor(array) for name, array in inputs.items()}
    if type(model).__name__ == "OpenAIGPTDoubleHeadsModel":  # it forgets to fold the choices
        given["attention_mask"] = given["attention_mask"].reshape(-1, T)
    found = model(**given), copy.deepcopy(model).double()(**given)
    return [{name: value.numpy() for name, value in out.items() if torch.is_tensor(value)}
            for out in found]


def agree(ours, theirs, exact, inputs):
    """Within the tolerance of interop at every real token; which outputs were compared."""
    shared = [name for name in ours if name in theirs]
    for name in shared:
        mask = inputs["decoder_attention_mask" if "decoder_attention_mask" in inputs
                      and not name.startswith("encoder") else "attention_mask"]
        a, b, c = (original.real({"attention_mask": mask}, each[name])
                   for each in (ours, theirs, exact))
        assert a.shape == b.shape, name
        tolerance = min(max(original.TOLERANCE, 10 * np.nanmax(np.abs(b - c))), original.MOST)
        assert np.abs(a - b).max() <= tolerance, name
        assert b.std() > 0.01, name  # and there is something to agree about
    return shared


# What else a config.json of these can say.
OTHERS = {
    "an output of its own": ("gpt2", "GPT2LMHeadModel", dict(
        tie_word_embeddings=False, activation_function="relu", n_inner=None)),
    "another activation": ("openai-gpt", "OpenAIGPTLMHeadModel", dict(afn="silu")),
    "biases, tied, interpolated": ("llama", "LlamaForCausalLM", dict(
        tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0})),
    "one after the other": ("gpt_neox", "GPTNeoXForCausalLM", dict(
        use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 99.0,
                         "partial_rotary_factor": 0.5})),
    "biased, untied": ("qwen3", "Qwen3ForCausalLM", dict(
        attention_bias=True, tie_word_embeddings=False)),
    "untied": ("gemma", "GemmaForCausalLM", dict(tie_word_embeddings=False, hidden_act="gelu")),
    "1.1": ("t5", "T5ForConditionalGeneration", dict(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "1.0, gated": ("t5", "T5ForConditionalGeneration", dict(feed_forward_proj="gated-silu")),
    "scaled": ("bart", "BartForConditionalGeneration", dict(
        scale_embedding=True, activation_function="gelu_new")),
    "unscaled": ("marian", "MarianMTModel", dict(scale_embedding=False)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_words_of_a_config(other, tmp_path, monkeypatch):
    model_type, name, more = OTHERS[other]
    in_and_out_again(made(model_type, name, **more), model_type, tmp_path, monkeypatch)


@pytest.mark.parametrize(("model_type", "name"), CLASSES, ids=lambda value: value)
def test_in_and_out_again(model_type, name, tmp_path, monkeypatch):
    in_and_out_again(made(model_type, name), model_type, tmp_path, monkeypatch)


def test_the_export_asks_the_original_itself(tmp_path):
    made("bert", "BertForPreTraining").save_pretrained(tmp_path / "theirs")
    bring(tmp_path / "theirs", tmp_path / "ours")
    report = exporting.send(load(tmp_path / "ours", stored=True), tmp_path / "again")
    assert report["original"]["ran"] and set(report["original"]["outputs"]) >= {
        "prediction_logits", "seq_relationship_logits"}


def test_what_the_original_says_where_it_cannot(tmp_path):
    calls = [{"input_ids": np.array([[1, 2]])}]
    for name, error, words in (("BertForJokes", original.Lacking, "^transformers .* BertForJokes$"),
                               ("BertModel", original.Failed, "cannot run the export")):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [name]}))
        with pytest.raises(error, match=words):
            original.run(tmp_path, calls)


def in_and_out_again(model, model_type, tmp_path, monkeypatch):
    name = type(model).__name__
    model.save_pretrained(tmp_path / "theirs")
    inputs = inputs_of(model_type, name, model)
    theirs, exact = answers(model, inputs)
    bring(tmp_path / "theirs", tmp_path / "ours")
    shared = agree(forward(load(tmp_path / "ours"), inputs), theirs, exact, inputs)
    assert shared and (known()[model_type].architectures[name] == ()
                       or any("logits" in each for each in shared))

    monkeypatch.setattr(original, "missing", lambda: ["torch, for speed,"])
    exporting.send(load(tmp_path / "ours", stored=True), tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again", attn_implementation="eager")
    for output, value in answers(again, inputs)[0].items():
        assert np.array_equal(value, theirs[output], equal_nan=True), output
    from safetensors.numpy import load_file

    files = [load_file(tmp_path / place / "model.safetensors") for place in ("theirs", "again")]
    constants = {key for key in files[0] if model_type == "marian" and "embed_positions" in key}
    assert files[0].keys() - constants == files[1].keys()
    assert all(np.array_equal(files[0][key], files[1][key]) for key in files[1])
    trees = [json.loads((tmp_path / place / "config.json").read_text())
             for place in ("theirs", "again")]
    assert trees[0] == trees[1]
