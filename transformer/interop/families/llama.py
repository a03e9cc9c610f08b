"""LLaMA 1 to 3: rotary positions in the layout of halves, as here."""

from __future__ import annotations

from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import causal, classifier, rows_of, unembedding
from transformer.interop.rotary import rotary_of, written
from transformer.interop.table import Linear, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.model import Decoder
from transformer.nn.norm import NoNorm, RMSNorm
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal
from transformer.spec import Spec


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    width = config.count("hidden_size", 4096)
    count = config.count("num_attention_heads", 32)
    return decoder(
        config, heads, norm=RMSNorm(eps=config.number("rms_norm_eps", 1e-6)),
        embedding=Embedding(vocab=config.count("vocab_size", 32000), width=width),
        hidden=config.count("intermediate_size", 11008), mlp_bias=config.flag("mlp_bias", False),
        activation=config.activation("hidden_act", "silu"),
        depth=config.depth("num_hidden_layers", 32), heads_=count,
        kv_heads=config.count("num_key_value_heads", count),
        head_dim=config.count("head_dim", max(1, width // count)))


def decoder(config: Config, heads: tuple[str, ...], *, embedding: Embedding, norm: RMSNorm,
            depth: int, heads_: int, kv_heads: int, head_dim: int, hidden: int, activation: str,
            mlp_bias=False, qk_norm: Spec = NoNorm()) -> Decoder:
    """The frame that LLaMA shares with its successors."""
    attention = Attention(
        heads=heads_, kv_heads=kv_heads, head_dim=head_dim, qk_norm=qk_norm, reach=Causal(),
        bias=config.flag("attention_bias", False), rotary=rotary_of(config),
        probability_dropout=config.rate("attention_dropout", 0.0))
    feedforward = FeedForward(width=hidden, gated=True, activation=activation, bias=mlp_bias)
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=embedding, heads=causal(heads, config),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm))


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Decoder, "attention", "feedforward")
    _, kv_heads, head_dim = attention.sizes(spec.embedding.width)
    return {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "num_hidden_layers": spec.stack.depth, "num_attention_heads": attention.heads,
        "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "intermediate_size": feedforward.width, "hidden_act": NAMES[feedforward.activation],
        "rms_norm_eps": eps(spec.stack.final_norm), "attention_bias": attention.bias,
        "mlp_bias": feedforward.bias, "attention_dropout": attention.probability_dropout,
        "rope_parameters": written(attention.rotary),
    }


def rows(spec: Decoder) -> list[Row]:
    """The name table."""
    attention, feedforward = sublayers(spec, Decoder, "attention", "feedforward")
    layer = "model.layers.{l}."
    looks = [line for name, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o"))
             for line in dense(f"attention/{name}", f"{layer}self_attn.{theirs}_proj",
                               Linear(ins=2 if name == "out" else 1), attention.bias)]
    three = [line for name in ("gate", "up", "down")
             for line in dense(f"feedforward/{name}", f"{layer}mlp.{name}_proj",
                               bias=feedforward.bias)]
    if not isinstance(attention.qk_norm, NoNorm):
        looks += [*norm("attention/query_norm", layer + "self_attn.q_norm", bias=False),
                  *norm("attention/key_norm", layer + "self_attn.k_norm", bias=False)]
    block = [*norm("attention_norm", layer + "input_layernorm", bias=False), *looks,
             *norm("feedforward_norm", layer + "post_attention_layernorm", bias=False), *three]
    heads = {"logits": unembedding(spec), "classes": classifier("score", bias=False),
             "tags": classifier("score"), "span": classifier("qa_outputs")}
    return [
        row("embedding/tokens", "model.embed_tokens.weight"),
        *layers("stack", spec.stack, block), *norm("stack/final_norm", "model.norm", bias=False),
        *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="llama", spec=spec, config=config, rows=rows, prefix="model.",
    architectures={
        "LlamaForCausalLM": ("logits",), "LlamaModel": (),
        "LlamaForSequenceClassification": ("classes",), "LlamaForTokenClassification": ("tags",),
        "LlamaForQuestionAnswering": ("span",)},
    prefixes={"LlamaForQuestionAnswering": "transformer."},
    tied={"lm_head.weight": "model.embed_tokens.weight"}, output="lm_head.weight",
    unread=(r"\.rotary_emb\.inv_freq$",), ties=False,
)
