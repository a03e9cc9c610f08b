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
from transformer.spec import Spec

UNPOOLED = (("mlm",), ("tags",), ("span",))  # classes that are built without the pooler


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    position = Learned(length=config.count("max_position_embeddings", 512))
    activation = config.activation("hidden_act", "gelu")
    norm = LayerNorm(eps=config.number("layer_norm_eps", 1e-12))
    return encoder(config, heads, position=position, types=2, norm=norm,
                   pooler=NoPooler() if heads in UNPOOLED else Pooler(),
                   mlm=Masked(activation=activation, norm=norm))


def encoder(config: Config, heads: tuple[str, ...], *, position: Learned, types: int,
            norm: LayerNorm, pooler: Spec, sizes=(768, 12, 12, 3072), vocab: int = 30522,
            rank: int | None = None, **others: Spec) -> Encoder:
    """The frame that BERT shares with RoBERTa and ELECTRA.

    sizes: default width, depth, heads and feed-forward width. vocab, types: defaults. others:
    heads that the family has a form of its own for.
    """
    for name, only in (("is_decoder", False), ("add_cross_attention", False),
                       ("position_embedding_type", "absolute"), ("tie_word_embeddings", True)):
        config.refuse(name, only)
    dropout = config.rate("hidden_dropout_prob", 0.1)
    attention = Attention(
        heads=config.count("num_attention_heads", sizes[2]), bias=True, dropout=dropout,
        probability_dropout=config.rate("attention_probs_dropout_prob", 0.1))
    feedforward = FeedForward(width=config.count("intermediate_size", sizes[3]), bias=True,
                              activation=config.activation("hidden_act", "gelu"), dropout=dropout)
    block = Block(residual=PostNorm(norm=norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    depth = config.depth("num_hidden_layers", sizes[1])
    return Encoder(
        embedding=Embedding(
            vocab=config.count("vocab_size", vocab), width=config.count("hidden_size", sizes[0]),
            rank=rank, types=config.count("type_vocab_size", types), norm=norm, dropout=dropout,
            position=position),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)), pooler=pooler,
        heads=encoding(heads, config, config.rate("classifier_dropout", dropout), **others),
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
    mlm = "cls.predictions."
    heads = {"mlm": masked(mlm + "transform.dense", mlm + "transform.LayerNorm", mlm + "bias"),
             "nsp": classifier("cls.seq_relationship"), "span": classifier("qa_outputs"),
             **{name: classifier("classifier") for name in ("classes", "score", "tags")}}
    pooled = dense("pooler/dense", "bert.pooler.dense") * isinstance(spec.pooler, Pooler)
    return [*trunk(spec, "bert."), *pooled, *rows_of(spec, heads)]


def trunk(spec: Encoder, prefix: str) -> list[Row]:
    """The rows of embedding and layers, which RoBERTa and ELECTRA name alike."""
    table, layer = prefix + "embeddings.", prefix + "encoder.layer.{l}."
    three = [line for name in ("query", "key", "value")
             for line in dense(f"attention/{name}", f"{layer}attention.self.{name}")]
    block = [
        *three, *dense("attention/out", layer + "attention.output.dense", Linear(ins=2)),
        *norm("attention_norm", layer + "attention.output.LayerNorm"),
        *dense("feedforward/up", layer + "intermediate.dense"),
        *dense("feedforward/down", layer + "output.dense"),
        *norm("feedforward_norm", layer + "output.LayerNorm"),
    ]
    return [
        row("embedding/tokens", table + "word_embeddings.weight"),
        row("embedding/types", table + "token_type_embeddings.weight"),
        row("embedding/positions", table + "position_embeddings.weight"),
        *norm("embedding/norm", table + "LayerNorm"), *layers("stack", spec.stack, block),
    ]


OLD = ((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias"))
COUNTED = r"(^|\.)embeddings\.(position|token_type)_ids$"  # 0, 1, 2, ... in older files

FAMILY = Family(
    model_type="bert", spec=spec, config=config, rows=rows, prefix="bert.",
    architectures={
        "BertForPreTraining": ("mlm", "nsp"), "BertForMaskedLM": ("mlm",), "BertModel": (),
        "BertForNextSentencePrediction": ("nsp",), "BertForSequenceClassification": ("classes",),
        "BertForMultipleChoice": ("score",), "BertForTokenClassification": ("tags",),
        "BertForQuestionAnswering": ("span",)},
    tied={"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
          "cls.predictions.decoder.bias": "cls.predictions.bias"},
    unread=(COUNTED,), renamed=OLD,
)
