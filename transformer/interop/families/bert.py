"""BERT. Hugging Face's GELU is the erf form unless config.json says gelu_new."""

from __future__ import annotations

from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import classifier, encoding, masked, rows_of
from transformer.interop.table import Linear, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, NoPooler, Pooler
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

UNPOOLED = (("mlm",), ("tags",), ("span",))  # classes that are built without the pooler


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    for name, only in (("is_decoder", False), ("add_cross_attention", False),
                       ("position_embedding_type", "absolute"), ("tie_word_embeddings", True)):
        config.refuse(name, only)
    width, dropout = config.count("hidden_size", 768), config.rate("hidden_dropout_prob", 0.1)
    activation = config.activation("hidden_act", "gelu")
    norm = LayerNorm(eps=config.number("layer_norm_eps", 1e-12))
    attention = Attention(
        heads=config.count("num_attention_heads", 12), bias=True, dropout=dropout,
        probability_dropout=config.rate("attention_probs_dropout_prob", 0.1))
    feedforward = FeedForward(width=config.count("intermediate_size", 3072), bias=True,
                              activation=activation, dropout=dropout)
    block = Block(residual=PostNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    depth = config.count("num_hidden_layers", 12)
    return Encoder(
        embedding=Embedding(
            vocab=config.count("vocab_size", 30522), width=width,
            types=config.count("type_vocab_size", 2), norm=norm, dropout=dropout,
            position=Learned(length=config.count("max_position_embeddings", 512))),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        pooler=NoPooler() if heads in UNPOOLED else Pooler(),
        heads=encoding(heads, config, config.rate("classifier_dropout", dropout),
                       Masked(activation=activation, norm=norm)),
    )


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Encoder, "attention", "feedforward")
    return {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "type_vocab_size": spec.embedding.types, "num_hidden_layers": spec.stack.depth,
        "max_position_embeddings": spec.embedding.position.limit(),
        "num_attention_heads": attention.heads, "intermediate_size": feedforward.width,
        "hidden_act": NAMES[feedforward.activation], "layer_norm_eps": eps(spec.embedding.norm),
        "hidden_dropout_prob": feedforward.dropout,
        "attention_probs_dropout_prob": attention.probability_dropout,
    }


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    trunk, layer = "bert.embeddings.", "bert.encoder.layer.{l}."
    three = [line for name in ("query", "key", "value")
             for line in dense(f"attention/{name}", f"{layer}attention.self.{name}")]
    block = [
        *three, *dense("attention/out", layer + "attention.output.dense", Linear(ins=2)),
        *norm("attention_norm", layer + "attention.output.LayerNorm"),
        *dense("feedforward/up", layer + "intermediate.dense"),
        *dense("feedforward/down", layer + "output.dense"),
        *norm("feedforward_norm", layer + "output.LayerNorm"),
    ]
    mlm = "cls.predictions."
    heads = {"mlm": masked(mlm + "transform.dense", mlm + "transform.LayerNorm", mlm + "bias"),
             "nsp": classifier("cls.seq_relationship"), "span": classifier("qa_outputs"),
             **{name: classifier("classifier") for name in ("classes", "score", "tags")}}
    return [
        row("embedding/tokens", trunk + "word_embeddings.weight"),
        row("embedding/types", trunk + "token_type_embeddings.weight"),
        row("embedding/positions", trunk + "position_embeddings.weight"),
        *norm("embedding/norm", trunk + "LayerNorm"), *layers("stack", spec.stack, block),
        *(dense("pooler/dense", "bert.pooler.dense") if isinstance(spec.pooler, Pooler) else ()),
        *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="bert", spec=spec, config=config, rows=rows, prefix="bert.",
    architectures={
        "BertForPreTraining": ("mlm", "nsp"), "BertForMaskedLM": ("mlm",), "BertModel": (),
        "BertForNextSentencePrediction": ("nsp",), "BertForSequenceClassification": ("classes",),
        "BertForMultipleChoice": ("score",), "BertForTokenClassification": ("tags",),
        "BertForQuestionAnswering": ("span",)},
    tied={"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
          "cls.predictions.decoder.bias": "cls.predictions.bias"},
    unread=(r"(^|\.)embeddings\.(position|token_type)_ids$",),
    renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
)
