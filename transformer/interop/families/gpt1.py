"""GPT-1 (`openai-gpt`). Its "gelu" is the tanh form."""

from __future__ import annotations

from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import Config
from transformer.interop.family import Family, Unlike
from transformer.interop.heads import causal, classifier, rows_of, unembedding
from transformer.interop.table import Conv1D, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

TABLE = "transformer.tokens_embed.weight"
ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    for name, only in (("summary_type", "cls_index"), ("summary_use_proj", True),
                       ("summary_proj_to_labels", True)):
        config.refuse(name, only)
    width = config.count("n_embd", 768)
    output, looks = config.rate("resid_pdrop", 0.1), config.rate("attn_pdrop", 0.1)
    attention = Attention(heads=config.count("n_head", 12), bias=True, reach=Causal(),
                          dropout=output, probability_dropout=looks)
    feedforward = FeedForward(width=4 * width, bias=True, dropout=output,
                              activation=config.one_of("afn", ACTIVATIONS, "gelu"))
    norm = LayerNorm(eps=config.number("layer_norm_epsilon", 1e-5))
    block = Block(residual=PostNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=config.count("vocab_size", 40478), width=width,
                            position=Learned(length=config.count("n_positions", 512)),
                            dropout=config.rate("embd_pdrop", 0.1)),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=config.depth("n_layer", 12)),)),
        heads=causal(heads, config),
    )


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Decoder, "attention", "feedforward")
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    if feedforward.activation not in names:
        raise Unlike(f"its activation is {feedforward.activation}")
    return {
        "vocab_size": spec.embedding.vocab, "n_embd": spec.embedding.width,
        "n_positions": spec.embedding.position.limit(), "n_layer": spec.stack.depth,
        "n_head": attention.heads, "afn": names[feedforward.activation],
        "layer_norm_epsilon": eps(norm_of(spec)), "embd_pdrop": spec.embedding.dropout,
        "resid_pdrop": feedforward.dropout, "attn_pdrop": attention.probability_dropout,
    }


def norm_of(spec: Decoder):
    """The norm of the first block."""
    return getattr(spec.stack.segments[0].pattern[0].residual, "norm", None)


def rows(spec: Decoder) -> list[Row]:
    """The name table."""
    trunk, layer = "transformer.", "transformer.h.{l}."
    three = ("attention/query", "attention/key", "attention/value")
    block = [
        *dense(three, layer + "attn.c_attn", Conv1D()),
        *dense("attention/out", layer + "attn.c_proj", Conv1D(ins=2)),
        *norm("attention_norm", layer + "ln_1"),
        *dense("feedforward/up", layer + "mlp.c_fc", Conv1D()),
        *dense("feedforward/down", layer + "mlp.c_proj", Conv1D()),
        *norm("feedforward_norm", layer + "ln_2"),
    ]
    heads = {"logits": unembedding(spec), "classes": classifier("score", bias=False),
             "score": classifier("multiple_choice_head.summary")}
    return [
        row("embedding/tokens", TABLE),
        row("embedding/positions", trunk + "positions_embed.weight"),
        *layers("stack", spec.stack, block), *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="openai-gpt", spec=spec, config=config, rows=rows, prefix="transformer.",
    architectures={
        "OpenAIGPTLMHeadModel": ("logits",), "OpenAIGPTModel": (),
        "OpenAIGPTDoubleHeadsModel": ("logits", "score"),
        "OpenAIGPTForSequenceClassification": ("classes",)},
    saved={"OpenAIGPTDoubleHeadsModel": {TABLE: "lm_head.weight"}},
    tied={"lm_head.weight": TABLE}, output="lm_head.weight",
    unread=(r"\.attn\.bias$", r"(^|\.)position_ids$"),
)
