"""Qwen3, dense: LLaMA's names and a norm of queries and keys."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.families import llama
from transformer.interop.family import Family
from transformer.nn.embedding import Embedding
from transformer.nn.model import Decoder
from transformer.nn.norm import RMSNorm


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    config.refuse("use_sliding_window", False)
    kinds = config.typed("layer_types", [], "a list of words", lambda v: isinstance(v, list))
    if "sliding_attention" in kinds:
        raise UserError(f"{config.where}: layers of sliding attention are not supported")
    norm = RMSNorm(eps=config.number("rms_norm_eps", 1e-6))
    return llama.decoder(
        config, heads, norm=norm, qk_norm=norm,
        embedding=Embedding(vocab=config.count("vocab_size", 151936),
                            width=config.count("hidden_size", 4096)),
        hidden=config.count("intermediate_size", 22016),
        activation=config.activation("hidden_act", "silu"),
        depth=config.depth("num_hidden_layers", 32),
        heads_=config.count("num_attention_heads", 32),
        kv_heads=config.count("num_key_value_heads", 32), head_dim=config.count("head_dim", 128))


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    return {name: value for name, value in llama.config(spec).items() if name != "mlp_bias"}


FAMILY = Family(
    model_type="qwen3", spec=spec, config=config, rows=llama.rows, prefix="model.",
    architectures={
        "Qwen3ForCausalLM": ("logits",), "Qwen3Model": (),
        "Qwen3ForSequenceClassification": ("classes",), "Qwen3ForTokenClassification": ("tags",),
        "Qwen3ForQuestionAnswering": ("span",)},
    prefixes={"Qwen3ForQuestionAnswering": "transformer."},
    tied={"lm_head.weight": "model.embed_tokens.weight"}, output="lm_head.weight", ties=False,
    unread=(r"\.rotary_emb\.inv_freq$",),
)
