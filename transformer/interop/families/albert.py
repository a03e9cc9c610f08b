"""ALBERT: groups of layers share their parameters, which a file has once."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family
from transformer.interop.heads import classifier, encoding, masked, rows_of
from transformer.interop.table import Linear, Row, dense, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Classes, Masked, NoPooler, Pooler
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack

UNPOOLED = (("mlm",), ("tags",), ("span",))
SHARED = ("attention", "feedforward")


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    for name, only in (("position_embedding_type", "absolute"), ("tie_word_embeddings", True)):
        config.refuse(name, only)
    dropout = config.rate("hidden_dropout_prob", 0.0)
    activation = config.activation("hidden_act", "gelu_new")
    layer_norm = LayerNorm(eps=config.number("layer_norm_eps", 1e-12))
    attention = Attention(
        heads=config.count("num_attention_heads", 64), bias=True, dropout=dropout,
        probability_dropout=config.rate("attention_probs_dropout_prob", 0.0))
    feedforward = FeedForward(width=config.count("intermediate_size", 16384), bias=True,
                              activation=activation)
    block = Block(residual=PostNorm(norm=layer_norm),
                  sublayers=(("attention", attention), ("feedforward", feedforward)))
    pattern = (block,) * config.depth("inner_group_num", 1)
    before = config.rate("classifier_dropout_prob", 0.1)
    return Encoder(
        embedding=Embedding(
            vocab=config.count("vocab_size", 30000), width=config.count("hidden_size", 4096),
            rank=config.count("embedding_size", 128), types=config.count("type_vocab_size", 2),
            position=Learned(length=config.count("max_position_embeddings", 512)),
            norm=layer_norm, dropout=dropout),
        stack=Stack(segments=tuple(Segment(pattern=pattern, repeats=repeats, shared=SHARED)
                                   for repeats in _repeats(config))),
        pooler=NoPooler() if heads in UNPOOLED else Pooler(),
        heads=encoding(heads, config, before, mlm=Masked(activation=activation, norm=layer_norm),
                       sop=Classes(classes=config.labels(), dropout=before)),
    )


def _repeats(config: Config) -> list[int]:
    """How often each group is applied: application i is of group int(i * groups / depth)."""
    depth, groups = config.depth("num_hidden_layers", 12), config.depth("num_hidden_groups", 1)
    if groups > depth:
        raise UserError(f"{config.where}: {groups} num_hidden_groups in {depth} layers")
    chosen = [int(i / (depth / groups)) for i in range(depth)]
    return [chosen.count(group) for group in range(groups)]


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Encoder, "attention", "feedforward")
    segments = spec.stack.segments
    return {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "embedding_size": spec.embedding.rank, "type_vocab_size": spec.embedding.types,
        "max_position_embeddings": spec.embedding.position.limit(),
        "num_hidden_layers": sum(segment.repeats for segment in segments),
        "num_hidden_groups": len(segments), "inner_group_num": len(segments[0].pattern),
        "num_attention_heads": attention.heads, "intermediate_size": feedforward.width,
        "hidden_act": NAMES[feedforward.activation], "layer_norm_eps": eps(spec.embedding.norm),
        "hidden_dropout_prob": spec.embedding.dropout,
        "attention_probs_dropout_prob": attention.probability_dropout,
    }


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    table = "albert.embeddings."
    heads = {"mlm": masked("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
             "sop": classifier("sop_classifier.classifier"), "span": classifier("qa_outputs"),
             **{name: classifier("classifier") for name in ("classes", "score", "tags")}}
    return [
        row("embedding/tokens", table + "word_embeddings.weight"),
        row("embedding/types", table + "token_type_embeddings.weight"),
        row("embedding/positions", table + "position_embeddings.weight"),
        *norm("embedding/norm", table + "LayerNorm"),
        *dense("embedding/project", "albert.encoder.embedding_hidden_mapping_in"),
        *(line for group, segment in enumerate(spec.stack.segments)
          for n in range(len(segment.pattern)) for line in _layer(group, n)),
        *(dense("pooler/dense", "albert.pooler") * isinstance(spec.pooler, Pooler)),
        *rows_of(spec, heads),
    ]


def _layer(group: int, n: int) -> list[Row]:
    ours = f"stack/shared_{group}/{n}_"
    theirs = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{n}."
    three = [line for name in ("query", "key", "value")
             for line in dense(f"{ours}attention/{name}", f"{theirs}attention.{name}")]
    return [
        *three, *dense(ours + "attention/out", theirs + "attention.dense", Linear(ins=2)),
        *norm(ours + "attention_norm", theirs + "attention.LayerNorm"),
        *dense(ours + "feedforward/up", theirs + "ffn"),
        *dense(ours + "feedforward/down", theirs + "ffn_output"),
        *norm(ours + "feedforward_norm", theirs + "full_layer_layer_norm"),
    ]


FAMILY = Family(
    model_type="albert", spec=spec, config=config, rows=rows, prefix="albert.",
    architectures={
        "AlbertForPreTraining": ("mlm", "sop"), "AlbertForMaskedLM": ("mlm",), "AlbertModel": (),
        "AlbertForSequenceClassification": ("classes",), "AlbertForMultipleChoice": ("score",),
        "AlbertForTokenClassification": ("tags",), "AlbertForQuestionAnswering": ("span",)},
    tied={"predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
          "predictions.decoder.bias": "predictions.bias"},
    unread=(r"(^|\.)embeddings\.(position|token_type)_ids$",),
)
