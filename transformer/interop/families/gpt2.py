"""GPT-2: fused projections, input first (`Conv1D`)."""

from __future__ import annotations

from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import causal, classifier, rows_of, unembedding
from transformer.interop.table import Conv1D, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    for name, only in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False),
                       ("add_cross_attention", False), ("summary_type", "cls_index"),
                       ("summary_use_proj", True), ("summary_proj_to_labels", True)):
        config.refuse(name, only)
    width = config.count("n_embd", 768)
    output, looks = config.rate("resid_pdrop", 0.1), config.rate("attn_pdrop", 0.1)
    attention = Attention(heads=config.count("n_head", 12), bias=True, reach=Causal(),
                          dropout=output, probability_dropout=looks)
    feedforward = FeedForward(width=config.count("n_inner", 4 * width), bias=True, dropout=output,
                              activation=config.activation("activation_function", "gelu_new"))
    norm = LayerNorm(eps=config.number("layer_norm_epsilon", 1e-5))
    block = Block(residual=PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    return Decoder(
        embedding=Embedding(vocab=config.count("vocab_size", 50257), width=width,
                            position=Learned(length=config.count("n_positions", 1024)),
                            dropout=config.rate("embd_pdrop", 0.1)),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=config.depth("n_layer", 12)),),
                    final_norm=norm),
        heads=causal(heads, config),
    )


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Decoder, "attention", "feedforward")
    return {
        "vocab_size": spec.embedding.vocab, "n_embd": spec.embedding.width,
        "n_positions": spec.embedding.position.limit(), "n_layer": spec.stack.depth,
        "n_head": attention.heads,
        "n_inner": None if feedforward.width == 4 * spec.embedding.width else feedforward.width,
        "activation_function": NAMES[feedforward.activation],
        "layer_norm_epsilon": eps(spec.stack.final_norm),
        "embd_pdrop": spec.embedding.dropout, "resid_pdrop": feedforward.dropout,
        "attn_pdrop": attention.probability_dropout,
    }


def rows(spec: Decoder) -> list[Row]:
    """The name table."""
    trunk, layer = "transformer.", "transformer.h.{l}."
    three = ("attention/query", "attention/key", "attention/value")
    block = [
        *norm("attention_norm", layer + "ln_1"),
        *dense(three, layer + "attn.c_attn", Conv1D()),
        *dense("attention/out", layer + "attn.c_proj", Conv1D(ins=2)),
        *norm("feedforward_norm", layer + "ln_2"),
        *dense("feedforward/up", layer + "mlp.c_fc", Conv1D()),
        *dense("feedforward/down", layer + "mlp.c_proj", Conv1D()),
    ]
    heads = {"logits": unembedding(spec), "classes": classifier("score", bias=False),
             "score": classifier("multiple_choice_head.summary"),
             "tags": classifier("classifier"), "span": classifier("qa_outputs")}
    return [
        row("embedding/tokens", trunk + "wte.weight"),
        row("embedding/positions", trunk + "wpe.weight"),
        *layers("stack", spec.stack, block), *norm("stack/final_norm", trunk + "ln_f"),
        *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="gpt2", spec=spec, config=config, rows=rows, prefix="transformer.",
    architectures={
        "GPT2LMHeadModel": ("logits",), "GPT2Model": (),
        "GPT2DoubleHeadsModel": ("logits", "score"), "GPT2ForSequenceClassification": ("classes",),
        "GPT2ForTokenClassification": ("tags",), "GPT2ForQuestionAnswering": ("span",)},
    tied={"lm_head.weight": "transformer.wte.weight"}, output="lm_head.weight",
    unread=(r"\.attn\.(masked_)?bias$",),
)
