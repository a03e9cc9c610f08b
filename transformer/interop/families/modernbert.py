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
from transformer.spec import Spec

FULL, LOCAL = "full_attention", "sliding_attention"
BASES = {FULL: ("global_rope_theta", 160_000.0), LOCAL: ("local_rope_theta", 10_000.0)}
POOLED = (("classes",), ("score",))
OVER = {"cls": "token", "mean": "mean"}


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    for name, only in (("tie_word_embeddings", True), ("decoder_bias", True),
                       ("rope_scaling", None)):
        config.refuse(name, only)
    layer_norm = LayerNorm(eps=config.number("norm_eps", 1e-5),
                           bias=config.flag("norm_bias", False))
    dropout = config.rate("classifier_dropout", 0.0)
    transform = dict(activation=config.activation("classifier_activation", "gelu"),
                     norm=layer_norm, bias=config.flag("classifier_bias", False))
    tokens = TokenClasses(classes=config.labels(), dropout=dropout,
                          transform=Transform(**transform))
    pooler = Pooler(over=config.one_of("classifier_pooling", OVER, "cls"), **transform)
    return Encoder(
        embedding=Embedding(vocab=config.count("vocab_size", 50368), norm=layer_norm,
                            width=config.count("hidden_size", 768),
                            dropout=config.rate("embedding_dropout", 0.0)),
        stack=Stack(segments=_segments(config, layer_norm), final_norm=layer_norm),
        pooler=pooler if heads in POOLED else NoPooler(),
        heads=encoding(heads, config, dropout, mlm=Masked(**transform), tags=tokens, span=tokens),
    )


def _kinds(config: Config) -> list[str]:
    """The kind of each layer; older files say every how many layers one looks everywhere."""
    depth = config.depth("num_hidden_layers", 22)
    every = config.depth("global_attn_every_n_layers", 3)
    kinds = config.raw("layer_types", [LOCAL if n % every else FULL for n in range(depth)])
    if not (isinstance(kinds, list) and len(kinds) == depth
            and all(kind in (FULL, LOCAL) for kind in kinds)):
        raise UserError(f"{config.where}: layer_types must be {FULL} or {LOCAL} for each of "
                        f"{depth} layers")
    return kinds


def _block(config: Config, kind: str, rule: PreNorm) -> Block:
    word, base = BASES[kind]
    about = config.raw("rope_parameters", {})
    about = about.get(kind) or {} if isinstance(about, dict) else about
    dropout = config.rate("attention_dropout", 0.0)
    attention = Attention(
        heads=config.count("num_attention_heads", 12), bias=config.flag("attention_bias", False),
        reach=Everywhere() if kind == FULL else Window(
            width=config.count("local_attention", 128) // 2),
        rotary=rotation(about, config, config.number(word, base)),
        dropout=dropout, probability_dropout=dropout)
    feedforward = FeedForward(
        width=config.count("intermediate_size", 1152), gated=True,
        activation=config.activation("hidden_activation", "gelu"),
        bias=config.flag("mlp_bias", False), hidden_dropout=config.rate("mlp_dropout", 0.0))
    return Block(residual=rule,
                 sublayers=(("attention", attention), ("feedforward", feedforward)))


def _segments(config: Config, layer_norm: LayerNorm) -> tuple[Segment, ...]:
    """The first layer, whole periods of the others, and what is left of the last."""
    first, *later = _kinds(config)
    period = next((n for n in range(1, len(later)) if later[n:] == later[:-n]), len(later) or 1)
    times, rest = divmod(len(later), period)
    block = {kind: _block(config, kind, PreNorm(norm=layer_norm)) for kind in {first, *later}}
    bare = _block(config, first, FirstBare(norm=layer_norm))
    runs = ([bare], 1), ([block[kind] for kind in later[:period]], times), (
        [block[kind] for kind in later[len(later) - rest:]], 1)
    return tuple(Segment(pattern=tuple(run), repeats=times) for run, times in runs if run)


def pooled(inputs: dict, config: Config) -> np.ndarray:
    """Sequences are read at position 0, choices and means at the first token that is no padding."""
    ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    if mask is None or (ids.ndim < 3 and config.raw("classifier_pooling", "cls") == "cls"):
        return np.zeros(ids.shape[:-1], np.int64)
    return mask.argmax(-1)


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    attention, feedforward = sublayers(spec, Encoder, "attention", "feedforward")
    blocks = [block for segment in spec.stack.segments
              for block in segment.pattern * segment.repeats]
    looks = [dict(block.sublayers)["attention"] for block in blocks]
    kinds = [FULL if isinstance(look.reach, Everywhere) else LOCAL for look in looks]
    if not isinstance(spec.embedding.norm, LayerNorm):
        raise Unlike("an embedding with a norm is needed")
    window = next((look.reach.width for look in looks if isinstance(look.reach, Window)), 64)
    rope = {kind: {"rope_theta": base, "rope_type": "default"} for kind, (_, base) in BASES.items()}
    rope |= {kind: written(look.rotary) for kind, look in zip(kinds, looks)}
    about = {
        "vocab_size": spec.embedding.vocab, "hidden_size": spec.embedding.width,
        "num_hidden_layers": len(blocks), "num_attention_heads": attention.heads,
        "intermediate_size": feedforward.width, "mlp_bias": feedforward.bias,
        "hidden_activation": NAMES[feedforward.activation], "attention_bias": attention.bias,
        "norm_eps": eps(spec.embedding.norm), "norm_bias": spec.embedding.norm.bias,
        "local_attention": 2 * window, "layer_types": kinds, "rope_parameters": rope,
        "attention_dropout": attention.dropout, "mlp_dropout": feedforward.hidden_dropout,
        "embedding_dropout": spec.embedding.dropout,
    }
    if (head := _transform(spec)) is not None:
        about |= {"classifier_activation": NAMES[head.activation], "classifier_bias": head.bias}
    if isinstance(spec.pooler, Pooler):
        about["classifier_pooling"] = {ours: word for word, ours in OVER.items()}[spec.pooler.over]
    return about


def _transform(spec: Encoder) -> Spec | None:
    """The dense layer before the output, in whichever part of ours it is."""
    parts = [getattr(head, "transform", head) for _, head in spec.heads] + [spec.pooler]
    return next((part for part in parts if hasattr(part, "activation")), None)


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    shift = spec.embedding.norm.bias

    def block(n: int, spec: Block) -> list[Row]:
        parts, layer = dict(spec.sublayers), "model.layers.{l}."
        biased, wide = parts["attention"].bias, parts["feedforward"].bias
        three = ("attention/query", "attention/key", "attention/value")
        return [
            *(norm("attention_norm", layer + "attn_norm", shift) * (n > 0)),
            *dense(three, layer + "attn.Wqkv", bias=biased),
            *dense("attention/out", layer + "attn.Wo", Linear(ins=2), biased),
            *norm("feedforward_norm", layer + "mlp_norm", shift),
            *dense(("feedforward/gate", "feedforward/up"), layer + "mlp.Wi", bias=wide),
            *dense("feedforward/down", layer + "mlp.Wo", bias=wide),
        ]

    head = _transform(spec)

    def before(ours: str, normed: str) -> list[Row]:
        return [*dense(ours, "head.dense", bias=head.bias), *norm(normed, "head.norm", shift)]

    transform = before("transform", "norm") if head is not None else []
    tables = {"mlm": [*transform, row("vocab_bias", "decoder.bias")],
              **{name: [*transform, *classifier("classifier")] for name in ("tags", "span")},
              **{name: classifier("classifier") for name in ("classes", "score")}}
    pooler = before("pooler/dense", "pooler/norm") if isinstance(spec.pooler, Pooler) else []
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
