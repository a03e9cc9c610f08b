"""Gemma 1: LLaMA's names, norms that count from 1, token vectors times sqrt(D). Its "gelu" is the
tanh form."""

from __future__ import annotations

from transformer.interop.config import Config
from transformer.interop.families import llama
from transformer.interop.family import Family
from transformer.nn.embedding import Embedding
from transformer.nn.model import Decoder
from transformer.nn.norm import RMSNorm


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    config.refuse("use_bidirectional_attention", None)
    width = config.count("hidden_size", 3072)
    activation = config.activation("hidden_act", "gelu_pytorch_tanh")
    return llama.decoder(
        config, heads, norm=RMSNorm(eps=config.number("rms_norm_eps", 1e-6), offset=1.0),
        embedding=Embedding(vocab=config.count("vocab_size", 256000), width=width,
                            scale=width**0.5),
        hidden=config.count("intermediate_size", 24576),
        activation="gelu_tanh" if activation == "gelu" else activation,
        depth=config.depth("num_hidden_layers", 28),
        heads_=config.count("num_attention_heads", 16),
        kv_heads=config.count("num_key_value_heads", 16), head_dim=config.count("head_dim", 256))


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    about = {name: value for name, value in llama.config(spec).items() if name != "mlp_bias"}
    if about["hidden_act"] == "gelu_new":
        about["hidden_act"] = "gelu_pytorch_tanh"
    return about


FAMILY = Family(
    model_type="gemma", spec=spec, config=config, rows=llama.rows, prefix="model.",
    architectures={
        "GemmaForCausalLM": ("logits",), "GemmaModel": (),
        "GemmaForSequenceClassification": ("classes",), "GemmaForTokenClassification": ("tags",)},
    tied={"lm_head.weight": "model.embed_tokens.weight"}, output="lm_head.weight",
    unread=(r"\.rotary_emb\.inv_freq$",),
)
