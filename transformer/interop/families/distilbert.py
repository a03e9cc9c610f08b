"""DistilBERT: no token types, erf GELU; its eps is a constant of the code."""

from __future__ import annotations

from transformer.interop.anatomy import sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import classifier, encoding, masked, rows_of
from transformer.interop.table import Linear, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, NoPooler, Pooler, TokenClasses
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

NORM = LayerNorm(eps=1e-12)
POOLED = (("classes",), ("score",))


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    config.refuse("tie_word_embeddings", True)
    dropout = config.rate("dropout", 0.1)
    activation = config.activation("activation", "gelu")
    attention = Attention(heads=config.count("n_heads", 12), bias=True,
                          probability_dropout=config.rate("attention_dropout", 0.1))
    feedforward = FeedForward(width=config.count("hidden_dim", 3072), bias=True, dropout=dropout,
                              activation=activation)
    block = Block(residual=PostNorm(norm=NORM),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    depth = config.depth("n_layers", 6)
    before = dropout if "tags" in heads else config.rate("seq_classif_dropout", 0.2)
    return Encoder(
        embedding=Embedding(vocab=config.count("vocab_size", 30522), dropout=dropout, norm=NORM,
                            width=config.count("dim", 768), position=Learned(
                                length=config.count("max_position_embeddings", 512))),
        stack=Stack(segments=(Segment(pattern=(block,), repeats=depth),)),
        pooler=Pooler(activation="relu") if heads in POOLED else NoPooler(),
        heads=encoding(heads, config, before, mlm=Masked(activation=activation, norm=NORM),
                       span=TokenClasses(classes=2, dropout=config.rate("qa_dropout", 0.1))),
    )


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Encoder, "attention", "feedforward")
    return {
        "vocab_size": spec.embedding.vocab, "dim": spec.embedding.width,
        "max_position_embeddings": spec.embedding.position.limit(), "n_layers": spec.stack.depth,
        "n_heads": attention.heads, "hidden_dim": feedforward.width,
        "activation": NAMES[feedforward.activation], "dropout": feedforward.dropout,
        "attention_dropout": attention.probability_dropout,
    }


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    table, layer = "distilbert.embeddings.", "distilbert.transformer.layer.{l}."
    three = [line for name in ("query", "key", "value")
             for line in dense(f"attention/{name}", f"{layer}attention.{name[0]}_lin")]
    block = [
        *three, *dense("attention/out", layer + "attention.out_lin", Linear(ins=2)),
        *norm("attention_norm", layer + "sa_layer_norm"),
        *dense("feedforward/up", layer + "ffn.lin1"),
        *dense("feedforward/down", layer + "ffn.lin2"),
        *norm("feedforward_norm", layer + "output_layer_norm"),
    ]
    heads = {"mlm": masked("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
             "span": classifier("qa_outputs"),
             **{name: classifier("classifier") for name in ("classes", "score", "tags")}}
    return [
        row("embedding/tokens", table + "word_embeddings.weight"),
        row("embedding/positions", table + "position_embeddings.weight"),
        *norm("embedding/norm", table + "LayerNorm"), *layers("stack", spec.stack, block),
        *(dense("pooler/dense", "pre_classifier") * isinstance(spec.pooler, Pooler)),
        *rows_of(spec, heads),
    ]


FAMILY = Family(
    model_type="distilbert", spec=spec, config=config, rows=rows, prefix="distilbert.",
    architectures={
        "DistilBertForMaskedLM": ("mlm",), "DistilBertModel": (),
        "DistilBertForSequenceClassification": ("classes",),
        "DistilBertForMultipleChoice": ("score",), "DistilBertForTokenClassification": ("tags",),
        "DistilBertForQuestionAnswering": ("span",)},
    tied={"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
    unread=(r"(^|\.)embeddings\.position_ids$",),
)
