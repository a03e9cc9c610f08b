"""BART. Its bias of the logits is a buffer that files keep; positions begin in the third row."""

from __future__ import annotations

import numpy as np

from transformer.error import UserError
from transformer.interop.anatomy import block
from transformer.interop.config import NAMES, Config
from transformer.interop.family import Family, Unlike
from transformer.interop.heads import classifier, encoding, rows_of
from transformer.interop.table import Linear, Row, Same, dense, layers, norm, row
from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import NoPooler, Pooler, Tied
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned
from transformer.nn.residual import PostNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal
from transformer.spec import Spec

NORM = LayerNorm(eps=1e-5)  # a constant of the code
SIDES = ("encoder", "decoder")
BIAS = "final_logits_bias"


class Lifted(Same):
    """[1, V] there."""

    def theirs(self, shapes):
        return (1, *shapes[0])

    def load(self, tensor, shapes):
        return [tensor[0]]

    def save(self, arrays):
        return arrays[0][None]


def spec(config: Config, heads: tuple[str, ...]) -> EncoderDecoder:
    """config.json -> our architecture."""
    length = config.count("max_position_embeddings", 1024)
    table = embedding(config, 50265, Learned(length=length, offset=2), NORM)
    before = config.rate("classifier_dropout", 0.0)
    labels = config if "id2label" in config else config.with_labels(2 if "span" in heads else 3)
    return EncoderDecoder(
        embedding=table, source_embedding=table, **stacks(config),
        pooler=Pooler() if "classes" in heads else NoPooler(),
        heads=encoding(heads, labels, before, logits=Tied(bias=BIAS in config.names)))


def embedding(config: Config, vocab: int, position: Spec, norm: Spec) -> Embedding:
    """One side's embedding. vocab: where config.json does not say."""
    width = config.count("d_model", 1024)
    return Embedding(vocab=config.count("vocab_size", vocab), width=width, position=position,
                     norm=norm, dropout=config.rate("dropout", 0.1),
                     scale=width**0.5 if config.flag("scale_embedding", False) else 1.0)


def stacks(config: Config) -> dict[str, Stack]:
    """Encoder and decoder, whose sizes may differ; Marian has the same."""
    for name, only in (("is_decoder", False), ("tie_word_embeddings", True)):
        config.refuse(name, only)
    dropout, made = config.rate("dropout", 0.1), {}
    for side in SIDES:
        look = dict(heads=config.count(f"{side}_attention_heads", 16), bias=True, dropout=dropout,
                    probability_dropout=config.rate("attention_dropout", 0.0))
        looks = (("attention", Attention(**look)),) if side == "encoder" else (
            ("attention", Attention(**look, reach=Causal())), ("cross", CrossAttention(**look)))
        feedforward = FeedForward(
            width=config.count(f"{side}_ffn_dim", 4096), bias=True, dropout=dropout,
            activation=config.activation("activation_function", "gelu"),
            hidden_dropout=config.rate("activation_dropout", 0.0))
        each = Block(residual=PostNorm(norm=NORM),
                     sublayers=(*looks, ("feedforward", feedforward)))
        depth = config.depth(f"{side}_layers", 12)
        made[side] = Stack(segments=(Segment(pattern=(each,), repeats=depth),))
    return made


def last_end(inputs: dict, config: Config) -> np.ndarray:
    """Sequences are read in the decoder where the source has its last end."""
    ends = inputs["input_ids"] == config.id("eos_token_id")
    if not ends.any(-1).all():
        raise UserError(f"every row of input_ids needs the end token {config.id('eos_token_id')}, "
                        "where this model reads a sequence")
    return (ends * np.arange(ends.shape[-1])).argmax(-1)


def config(spec: EncoderDecoder) -> dict:
    """Our architecture -> config.json."""
    if type(spec) is not EncoderDecoder:
        raise Unlike(f"an EncoderDecoder is needed, this is a {type(spec).__name__}")
    about = {"vocab_size": spec.embedding.vocab, "d_model": spec.embedding.width,
             "max_position_embeddings": spec.embedding.position.limit(),
             "scale_embedding": spec.embedding.scale != 1.0, "dropout": spec.embedding.dropout}
    for side, names in zip(SIDES, (("attention", "feedforward"),
                                   ("attention", "cross", "feedforward"))):
        attention, *_, feedforward = block(getattr(spec, side), *names)
        about |= {f"{side}_layers": getattr(spec, side).depth,
                  f"{side}_attention_heads": attention.heads,
                  f"{side}_ffn_dim": feedforward.width,
                  "attention_dropout": attention.probability_dropout,
                  "activation_dropout": feedforward.hidden_dropout,
                  "activation_function": NAMES[feedforward.activation]}
    return about


def sides(spec: EncoderDecoder) -> list[Row]:
    """The rows of the token table and of both stacks, which Marian names alike."""
    made = [row("embedding/tokens", "model.shared.weight")]
    for side in SIDES:
        layer = f"model.{side}.layers.{{l}}."
        looks = [("attention", "self_attn")] + [("cross", "encoder_attn")] * (side == "decoder")
        each = [line for ours, theirs in looks for line in _look(ours, layer + theirs)]
        each += [*dense("feedforward/up", layer + "fc1"), *dense("feedforward/down", layer + "fc2"),
                 *norm("feedforward_norm", layer + "final_layer_norm")]
        made += layers(side, getattr(spec, side), each)
    return made


def _look(ours: str, theirs: str) -> list[Row]:
    three = [line for name in ("query", "key", "value")
             for line in dense(f"{ours}/{name}", f"{theirs}.{name[0]}_proj")]
    return [*three, *dense(f"{ours}/out", f"{theirs}.out_proj", Linear(ins=2)),
            *norm(f"{ours}_norm", f"{theirs}_layer_norm")]


def logits(spec: EncoderDecoder) -> list[Row]:
    """The bias of the logits, where the model has it."""
    biased = getattr(dict(spec.heads).get("logits"), "bias", False)
    return [row("vocab_bias", BIAS, Lifted())] * biased


def rows(spec: EncoderDecoder) -> list[Row]:
    """The name table."""
    embeddings = [line for ours, side in (("source_embedding", "encoder"), ("embedding", "decoder"))
                  for line in (row(f"{ours}/positions", f"model.{side}.embed_positions.weight"),
                               *norm(f"{ours}/norm", f"model.{side}.layernorm_embedding"))]
    heads = {"logits": logits(spec), "classes": classifier("classification_head.out_proj"),
             "span": classifier("qa_outputs")}
    pooler = dense("pooler/dense", "classification_head.dense") * isinstance(spec.pooler, Pooler)
    return [*sides(spec), *embeddings, *pooler, *rows_of(spec, heads)]


TIED = {name: "model.shared.weight" for name in (
    "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")}
FAMILY = Family(
    model_type="bart", spec=spec, config=config, rows=rows, prefix="model.",
    architectures={
        "BartForConditionalGeneration": ("logits",), "BartModel": (),
        "BartForSequenceClassification": ("classes",), "BartForQuestionAnswering": ("span",)},
    tied=TIED, pooled=last_end,
)
