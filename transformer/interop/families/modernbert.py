"""ModernBERT: fused projections, two kinds of layers, a first layer without its first norm."""

from __future__ import annotations

import numpy as np

from transformer.error import UserError
from transformer.interop.anatomy import eps, sublayers
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family, Unlike
from transformer.interop.heads import classifier, encoding, rows_of
from transformer.interop.rotary import rotation, written
from transformer.interop.table import Linear, Row, dense, layers, norm, row
from transformer.nn.attention import Attention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import Masked, NoPooler, Pooler, TokenClasses, Transform
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.residual import FirstBare, PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Everywhere, Window

FULL, LOCAL = "full_attention", "sliding_attention"
BASES = {FULL: ("global_rope_theta", 160_000.0), LOCAL: ("local_rope_theta", 10_000.0)}
POOLED = (("classes",), ("score",))


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    for name, only in (("tie_word_embeddings", True), ("decoder_bias", True)):
        config.refuse(name, only)
    if heads in POOLED:
        config.refuse("classifier_pooling", "cls")
    layer_norm = LayerNorm(eps=config.number("norm_eps", 1e-5),
                           bias=config.flag("norm_bias", False))
    dropout = config.rate("classifier_dropout", 0.0)
    transform = dict(activation=config.activation("classifier_activation", "gelu"),
                     norm=layer_norm, bias=config.flag("classifier_bias", False))
    tokens = lambda classes: TokenClasses(classes=classes, dropout=dropout,
                                          transform=Transform(**transform))
    kinds = _kinds(config)
    blocks = [_block(config, kind, n, layer_norm) for n, kind in enumerate(kinds)]
    return Encoder(
        embedding=Embedding(vocab=config.count("vocab_size", 50368), norm=layer_norm,
                            width=config.count("hidden_size", 768),
                            dropout=config.rate("embedding_dropout", 0.0)),
        stack=Stack(segments=_segments(blocks, kinds), final_norm=layer_norm),
        pooler=Pooler(**transform) if heads in POOLED else NoPooler(),
        heads=encoding(heads, config, dropout, mlm=Masked(**transform),
                       tags=tokens(config.labels()), span=tokens(config.labels())),
    )


def _kinds(config: Config) -> list[str]:
    """The kind of each layer; older files say every how many layers one looks everywhere."""
    depth, every = (config.count("num_hidden_layers", 22),
                    config.count("global_attn_every_n_layers", 3))
    kinds = config.raw("layer_types") or [LOCAL if n % every else FULL for n in range(depth)]
    if len(kinds) != depth or not set(kinds) <= {FULL, LOCAL}:
        raise UserError(f"{config.where}: layer_types must be {depth} times {FULL} or {LOCAL}")
    return kinds


def _block(config: Config, kind: str, n: int, layer_norm: LayerNorm) -> Block:
    word, base = BASES[kind]
    about = (config.raw("rope_parameters") or {}).get(kind) or {}
    rate = config.rate("attention_dropout", 0.0)
    attention = Attention(
        heads=config.count("num_attention_heads", 12), bias=config.flag("attention_bias", False),
        reach=Everywhere() if kind == FULL else Window(
            width=config.count("local_attention", 128) // 2),
        rotary=rotation(about, config, config.number(word, base)), dropout=rate,
        probability_dropout=rate)
    feedforward = FeedForward(
        width=config.count("intermediate_size", 1152), gated=True,
        activation=config.activation("hidden_activation", "gelu"),
        bias=config.flag("mlp_bias", False), hidden_dropout=config.rate("mlp_dropout", 0.0))
    rule = PreNorm(norm=layer_norm) if n else FirstBare(norm=layer_norm)
    return Block(residual=rule,
                 sublayers=(("attention", attention), ("feedforward", feedforward)))


def _segments(blocks: list[Block], kinds: list[str]) -> tuple[Segment, ...]:
    """The first layer, whole periods of the others, and what is left; as in our own models."""
    later = kinds[1:]
    period = later.index(FULL) + 1 if FULL in later else 1
    regular = all(kind == later[n % period] for n, kind in enumerate(later))
    if not regular:
        return tuple(Segment(pattern=(block,), repeats=1) for block in blocks)
    times, rest = divmod(len(later), period)
    made = [Segment(pattern=(blocks[0],), repeats=1)]
    if times:
        made.append(Segment(pattern=tuple(blocks[1:1 + period]), repeats=times))
    if rest:
        made.append(Segment(pattern=tuple(blocks[-rest:]), repeats=1))
    return tuple(made)


def pooled(inputs: dict, config: Config) -> np.ndarray:
    """Choices are read at their first token that is no padding, sequences at position 0."""
    ids = inputs["input_ids"]
    if ids.ndim < 3 or "attention_mask" not in inputs:
        return np.zeros(ids.shape[:-1], np.int64)
    return inputs["attention_mask"].argmax(-1)


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Encoder, "attention", "feedforward")
    each = [block for segment in spec.stack.segments for block in segment.pattern * segment.repeats]
    looks = [dict(block.sublayers)["attention"] for block in each]
    kinds = [FULL if isinstance(look.reach, Everywhere) else LOCAL for look in looks]
    if not isinstance(spec.embedding.norm, LayerNorm):
        raise Unlike("an embedding with a norm is needed")
    windows = {getattr(look.reach, "width", 0) for look in looks} - {0}
    rotary = {kind: written(look.rotary) for kind, look in zip(kinds, looks)}
    head = next((part for part in (*dict(spec.heads).values(), spec.pooler)
                 if hasattr(part, "activation")), None)
    tags = [h.transform for _, h in spec.heads if getattr(h, "transform", None) is not None]
    head = tags[0] if tags else head
    about = {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "num_hidden_layers": len(each), "num_attention_heads": attention.heads,
        "intermediate_size": feedforward.width, "mlp_bias": feedforward.bias,
        "hidden_activation": NAMES[feedforward.activation], "attention_bias": attention.bias,
        "norm_eps": eps(spec.embedding.norm), "norm_bias": spec.embedding.norm.bias,
        "local_attention": 2 * max(windows, default=64), "layer_types": kinds,
        "rope_parameters": {kind: rotary.get(kind, {
            "rope_theta": base, "rope_type": "default"}) for kind, (_, base) in BASES.items()},
        "attention_dropout": attention.dropout, "mlp_dropout": feedforward.hidden_dropout,
        "embedding_dropout": spec.embedding.dropout,
    }
    if head is not None:
        about |= {"classifier_activation": NAMES[head.activation], "classifier_bias": head.bias}
    return about


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    shift = spec.embedding.norm.bias

    def block(n: int, spec: Block) -> list[Row]:
        parts, layer = dict(spec.sublayers), "model.layers.{l}."
        three = ("attention/query", "attention/key", "attention/value")
        bias = parts["attention"].bias, parts["feedforward"].bias
        return [
            *(norm("attention_norm", layer + "attn_norm", shift) * (n > 0)),
            *dense(three, layer + "attn.Wqkv", bias=bias[0]),
            *dense("attention/out", layer + "attn.Wo", Linear(ins=2), bias[0]),
            *norm("feedforward_norm", layer + "mlp_norm", shift),
            *dense(("feedforward/gate", "feedforward/up"), layer + "mlp.Wi", bias=bias[1]),
            *dense("feedforward/down", layer + "mlp.Wo", bias=bias[1]),
        ]

    def before(ours: str, part) -> list[Row]:
        return [*dense(ours + "transform", "head.dense", bias=part.bias),
                *norm(ours + "norm", "head.norm", shift)]

    heads = dict(spec.heads)
    tokens = {name: [*before("", heads[name].transform), *classifier("classifier")]
              for name in ("tags", "span") if name in heads}
    tables = {name: classifier("classifier") for name in ("classes", "score")} | tokens
    if "mlm" in heads:
        tables["mlm"] = [*before("", heads["mlm"]), row("vocab_bias", "decoder.bias")]
    pooler = [*dense("pooler/dense", "head.dense", bias=spec.pooler.bias),
              *norm("pooler/norm", "head.norm", shift)] if isinstance(spec.pooler, Pooler) else []
    return [
        row("embedding/tokens", "model.embeddings.tok_embeddings.weight"),
        *norm("embedding/norm", "model.embeddings.norm", shift),
        *layers("stack", spec.stack, block), *norm("stack/final_norm", "model.final_norm", shift),
        *pooler, *rows_of(spec, tables),
    ]


FAMILY = Family(
    model_type="modernbert", spec=spec, config=config, rows=rows, prefix="model.",
    architectures={
        "ModernBertForMaskedLM": ("mlm",), "ModernBertModel": (),
        "ModernBertForSequenceClassification": ("classes",),
        "ModernBertForMultipleChoice": ("score",), "ModernBertForTokenClassification": ("tags",),
        "ModernBertForQuestionAnswering": ("span",)},
    tied={"decoder.weight": "model.embeddings.tok_embeddings.weight"}, pooled=pooled,
)
