"""Which tiny models of Hugging Face the golden files hold: class, sizes, and what is asked of each.

Shared by `make_golden.py`, which runs them there, and by the tests, which run them here. A further
model is one line of `GOLDENS` and one run of the script.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "golden"
GRADIENTS, TRAINED = "gradients", "trained"  # directories of the same form inside a golden one
V, LENGTH, PAD = 61, 23, 60  # tokens, positions, what stands behind an answer
B, T, SHORT, NEW, BEAMS, ANSWERS = 4, 11, 7, 9, 4, 2
# Row 0 whole, row 1 padded right, row 2 padded left, row 3 on both sides.
REAL = np.array([[1] * 11, [1] * 6 + [0] * 5, [0] * 4 + [1] * 7, [0] + [1] * 7 + [0] * 3])
# Where a decoder counts its positions from the first column, nothing is padded on the left.
TARGET = np.array([[1] * 7, [1] * 4 + [0] * 3, [1] * 6 + [0], [1] + [0] * 6])
PROMPT = (np.arange(7) >= 7 - np.array([7, 3, 5, 2])[:, None]).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Golden:
    """One model.

    kind: its class. config: what its config.json says beside the defaults. generates: whether
    answers are kept too. small: regular expression of tensors that are drawn small, so that a norm
    behind them has little variance and its eps shows.
    """

    kind: str
    config: dict
    generates: bool = False
    small: str = "$^"


CALM = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
GPT = dict(vocab_size=V, n_positions=LENGTH, n_embd=30, n_layer=2, n_head=5,
           layer_norm_epsilon=1e-3)
LLAMA = dict(vocab_size=V, hidden_size=30, intermediate_size=27, num_hidden_layers=2,
             num_attention_heads=6, num_key_value_heads=2, head_dim=8, pad_token_id=0,
             rms_norm_eps=1e-3)
SCALED = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
              high_freq_factor=2.0, original_max_position_embeddings=16)
BERT = dict(vocab_size=V, hidden_size=30, num_hidden_layers=2, num_attention_heads=5,
            intermediate_size=44, max_position_embeddings=LENGTH, layer_norm_eps=1e-3)

ENCODER = {**BERT, "embedding_size": 14}
T5 = dict(vocab_size=V, d_model=30, d_kv=6, d_ff=44, num_layers=2, num_heads=5, pad_token_id=0,
          relative_attention_num_buckets=8, relative_attention_max_distance=6,
          layer_norm_epsilon=1e-3, eos_token_id=1, decoder_start_token_id=0)
SIDES = {f"{side}_{name}": value for side in ("encoder", "decoder")
         for name, value in (("layers", 2), ("attention_heads", 5), ("ffn_dim", 44))}
BART = dict(vocab_size=V, d_model=30, max_position_embeddings=LENGTH, pad_token_id=1,
            bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, scale_embedding=False,
            **SIDES) | {"decoder_attention_heads": 3, "decoder_ffn_dim": 38}
# LayerNorm's eps is a constant of these: a small norm in the first layer, so that the one behind it
# has to do with eps. Not in all: what GELU reads would be small as well.
QUIET = r"\.0\.(self_attn_layer_norm|sa_layer_norm|fc[12]\.bias|ffn\.lin[12]\.bias)"

GOLDENS = {
    "openai-gpt": Golden("OpenAIGPTLMHeadModel", {**GPT, **STILL}),
    "gpt2": Golden("GPT2LMHeadModel", {**GPT, "n_inner": 44}, generates=True),
    "gpt_neox": Golden("GPTNeoXForCausalLM", dict(
        vocab_size=V, hidden_size=40, num_hidden_layers=2, num_attention_heads=5,
        intermediate_size=44, max_position_embeddings=LENGTH, layer_norm_eps=1e-3)),
    "llama": Golden("LlamaForCausalLM", {**LLAMA, "rope_parameters": SCALED}, generates=True),
    "qwen3": Golden("Qwen3ForCausalLM", {**LLAMA, "tie_word_embeddings": True}),
    "gemma": Golden("GemmaForCausalLM", LLAMA),
    "bert": Golden("BertForPreTraining", {**BERT, **CALM}),
    "roberta": Golden("RobertaForMaskedLM", {
        **BERT, "pad_token_id": 1, "type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}),
    "modernbert": Golden("ModernBertForMaskedLM", dict(
        vocab_size=V, hidden_size=30, num_hidden_layers=4, num_attention_heads=5, norm_eps=1e-3,
        intermediate_size=44, max_position_embeddings=LENGTH, local_attention=6, pad_token_id=0,
        bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2)),
    "distilbert": Golden("DistilBertForMaskedLM", dict(
        vocab_size=V, dim=30, n_layers=2, n_heads=5, hidden_dim=44,
        max_position_embeddings=LENGTH), small=QUIET),
    "albert": Golden("AlbertForPreTraining", {
        **ENCODER, "num_hidden_layers": 3, "num_hidden_groups": 2, "inner_group_num": 2,
        "bos_token_id": 2, "eos_token_id": 3}),
    "electra-discriminator": Golden("ElectraForPreTraining", ENCODER),
    "electra-generator": Golden("ElectraForMaskedLM", ENCODER),
    "t5": Golden("T5ForConditionalGeneration", T5, generates=True),
    "t5-1.1": Golden("T5ForConditionalGeneration", {
        **T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "bart": Golden("BartForConditionalGeneration", BART, generates=True, small=QUIET),
    "marian": Golden("MarianMTModel", {
        **BART, "pad_token_id": V - 1, "decoder_start_token_id": V - 1, "eos_token_id": 0,
        "bos_token_id": None, "scale_embedding": True, "activation_function": "swish"},
        generates=True, small=QUIET),
}
# The one of each shape whose gradients are kept; those that are trained, and their learning rates.
SLOPES = {"bert": "encoder", "gpt2": "decoder", "t5": "encoder-decoder"}
PEAKS = {"bert": 5e-3, "openai-gpt": 5e-3}
STEPS, WARMUP, LAST = 10, 3, 12  # updates made; of the rise; where the rate would reach 0


def inputs(config: dict, two: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Token ids [B, T] and all else that a model reads, under Hugging Face's names.

    config: its config.json. two: whether it has an encoder and a decoder.
    """
    draw = np.random.default_rng(seed)
    ids = draw.integers(5, V - 2, (B, T))
    if config["model_type"] == "roberta":  # it counts positions by looking for padding
        ids = np.where(REAL > 0, ids, config["pad_token_id"])
    made = {"input_ids": ids, "attention_mask": REAL}
    if config.get("type_vocab_size", 0) > 1:
        made["token_type_ids"] = draw.integers(0, config["type_vocab_size"], (B, T))
    if config["model_type"] == "gpt2":  # the others count for themselves
        made["position_ids"] = np.maximum(np.cumsum(REAL, 1) - 1, 0)
    if two:
        made |= {"decoder_input_ids": draw.integers(5, V - 2, (B, SHORT)),
                 "decoder_attention_mask": TARGET}
    return made


def prompts(two: bool) -> dict[str, np.ndarray]:
    """What answers begin from: prompts padded on the left, or sources padded on the right."""
    draw = np.random.default_rng(3)
    if two:
        return {"input_ids": draw.integers(5, V - 2, (B, SHORT)), "attention_mask": TARGET}
    return {"input_ids": draw.integers(5, V - 2, PROMPT.shape), "attention_mask": PROMPT}


def lessons(name: str) -> dict[str, np.ndarray]:
    """Batches [N, B, ...] that a model learns from, in this project's words.

    An encoder predicts three masked tokens, of which some rows have fewer, and a label; a decoder
    some token after each. Rows of one stack are padded on the right.
    """
    draw, two = np.random.default_rng(7), SLOPES.get(name) == "encoder-decoder"
    each = lambda array: np.tile(array, (STEPS, 1, 1))
    tokens = lambda *shape: draw.integers(5, V - 2, (STEPS, B, *shape))
    real = TARGET if two else np.sort(REAL, 1)[:, ::-1]
    made = {"tokens": tokens(real.shape[1]), "segments": each(real)}
    if SLOPES.get(name) == "encoder":
        slots = draw.permuted(each(np.tile(np.arange(6), (B, 1))), axis=-1)[..., :3]
        counted = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]])
        return {**made, "types": draw.integers(0, 2, (STEPS, B, T)), "masked": np.sort(slots, -1),
                "targets": tokens(3), "weights": each(counted), "labels": draw.integers(
                    0, 2, (STEPS, B))}
    if two:
        made |= {"source_tokens": tokens(T), "source_segments": each(REAL)}
    return {**made, "targets": tokens(real.shape[1]), "weights": each(real)}
