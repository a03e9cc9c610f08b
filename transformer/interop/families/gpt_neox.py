"""GPT-NeoX and Pythia: queries, keys and values of each head lie side by side in one matrix."""

from __future__ import annotations

import math

import numpy as np

from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import causal, classifier, rows_of, unembedding
from transformer.interop.rotary import rotary_of, written
from transformer.interop.table import Linear, Row, Same, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.model import Decoder
from transformer.nn.norm import LayerNorm
from transformer.nn.residual import ParallelNorm, PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal


class ByHead(Same):
    """[H 3 K, D] there: for each head its query, its key, its value. Biases, [H, K] here, alike."""

    def theirs(self, shapes):
        *before, heads, each = shapes[0]
        return (heads * len(shapes) * each, *before)

    def load(self, tensor, shapes):
        heads, each = shapes[0][-2:]
        split = tensor.reshape(heads, len(shapes), each, *tensor.shape[1:])
        return [np.moveaxis(split[:, n], (0, 1), (-2, -1)) for n in range(len(shapes))]

    def save(self, arrays):
        joined = np.stack([np.moveaxis(array, (-2, -1), (0, 1)) for array in arrays], 1)
        return joined.reshape(math.prod(joined.shape[:3]), *joined.shape[3:])


def spec(config: Config, heads: tuple[str, ...]) -> Decoder:
    """config.json -> our architecture."""
    output, width = config.rate("hidden_dropout", 0.0), config.count("hidden_size", 6144)
    rotary = rotary_of(config, fraction=0.25, words=("rotary_emb_base", "rotary_pct"))
    attention = Attention(
        heads=config.count("num_attention_heads", 64), reach=Causal(), rotary=rotary,
        bias=config.flag("attention_bias", True), dropout=output,
        probability_dropout=config.rate("attention_dropout", 0.0))
    feedforward = FeedForward(width=config.count("intermediate_size", 24576), bias=True,
                              activation=config.activation("hidden_act", "gelu"), dropout=output)
    norm = LayerNorm(eps=config.number("layer_norm_eps", 1e-5))
    parallel = config.flag("use_parallel_residual", True)
    block = Block(residual=ParallelNorm(norm=norm, own=True) if parallel else PreNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    depth = config.depth("num_hidden_layers", 44)
    return Decoder(
        embedding=Embedding(vocab=config.count("vocab_size", 50432), width=width),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),), final_norm=norm),
        heads=causal(heads, config),
    )


def config(spec: Decoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Decoder, "attention", "feedforward")
    residual = spec.stack.segments[0].pattern[0].residual
    return {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "num_hidden_layers": spec.stack.depth, "num_attention_heads": attention.heads,
        "intermediate_size": feedforward.width, "hidden_act": NAMES[feedforward.activation],
        "layer_norm_eps": eps(spec.stack.final_norm), "attention_bias": attention.bias,
        "use_parallel_residual": isinstance(residual, ParallelNorm),
        "attention_dropout": attention.probability_dropout, "hidden_dropout": feedforward.dropout,
        "rope_parameters": {"partial_rotary_factor": 1.0, **written(attention.rotary)},
    }


def rows(spec: Decoder) -> list[Row]:
    """The name table."""
    attention, _ = sublayers(spec, Decoder, "attention", "feedforward")
    layer = "gpt_neox.layers.{l}."
    three = ("attention/query", "attention/key", "attention/value")
    biases = tuple(f"{path}_bias" for path in three)
    block = [
        *norm("attention_norm", layer + "input_layernorm"),
        row(three, layer + "attention.query_key_value.weight", ByHead()),
        *[row(biases, layer + "attention.query_key_value.bias", ByHead())] * attention.bias,
        *dense("attention/out", layer + "attention.dense", Linear(ins=2), attention.bias),
        *norm("feedforward_norm", layer + "post_attention_layernorm"),
        *dense("feedforward/up", layer + "mlp.dense_h_to_4h"),
        *dense("feedforward/down", layer + "mlp.dense_4h_to_h"),
    ]
    heads = {"logits": unembedding(spec, "embed_out.weight"),
             "classes": classifier("score", bias=False),
             "tags": classifier("classifier"), "span": classifier("qa_outputs")}
    return [
        row("embedding/tokens", "gpt_neox.embed_in.weight"), *layers("stack", spec.stack, block),
        *norm("stack/final_norm", "gpt_neox.final_layer_norm"), *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="gpt_neox", spec=spec, config=config, rows=rows, prefix="gpt_neox.",
    architectures={
        "GPTNeoXForCausalLM": ("logits",), "GPTNeoXModel": (),
        "GPTNeoXForSequenceClassification": ("classes",),
        "GPTNeoXForTokenClassification": ("tags",), "GPTNeoXForQuestionAnswering": ("span",)},
    tied={"embed_out.weight": "gpt_neox.embed_in.weight"}, output="embed_out.weight", ties=False,
    unread=(r"\.attention\.(masked_)?bias$", r"\.rotary_emb\.inv_freq$"),
)
