"""T5 1.0 and 1.1. The relative bias of a stack stands in the names of its first layer."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.anatomy import block, eps
from transformer.interop.config import ACTIVATIONS, NAMES, Config
from transformer.interop.families.bart import last_end
from transformer.interop.family import Family, Unlike
from transformer.interop.heads import classifier, encoding, rows_of, unembedding
from transformer.interop.table import Linear, Row, dense, layers, norm, row
from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.bias import RelativeBias
from transformer.nn.embedding import Embedding
from transformer.nn.feedforward import FeedForward
from transformer.nn.head import NoPooler, Pooler, Tied, Untied
from transformer.nn.model import Encoder, EncoderDecoder
from transformer.nn.norm import RMSNorm
from transformer.nn.residual import PreNorm
from transformer.nn.stack import Block, Segment, Stack
from transformer.ops.reach import Causal

ALONE = ("T5EncoderModel", "T5ForTokenClassification")  # classes without a decoder
TABLE = "transformer.shared.weight"


def spec(config: Config, heads: tuple[str, ...]) -> Encoder | EncoderDecoder:
    """config.json -> our architecture."""
    config.refuse("is_decoder", False)
    width, dropout = config.count("d_model", 512), config.rate("dropout_rate", 0.1)
    table = Embedding(vocab=config.count("vocab_size", 32128), width=width, dropout=dropout)
    made = encoding(heads, config, config.rate("classifier_dropout", 0.0),
                    logits=_output(config, width) if "logits" in heads else None)
    depth = config.depth("num_layers", 6)
    if config.architecture in ALONE:
        return Encoder(embedding=table, stack=_stack(config, depth, False), heads=made)
    return EncoderDecoder(
        embedding=table, encoder=_stack(config, depth, False),
        decoder=_stack(config, config.depth("num_decoder_layers", depth), True),
        pooler=Pooler() if "classes" in heads else NoPooler(), heads=made)


def _output(config: Config, width: int) -> Tied | Untied:
    """1.0 scales the stream before the token table; 1.1 has a matrix of its own, unscaled.

    Files of the hub say so by tie_word_embeddings, which later code always takes for true.
    """
    older = config.tree.get("tie_word_embeddings") is not False
    scaled = config.flag("scale_decoder_outputs", older)
    if config.tied:
        return Tied(scale=width**-0.5 if scaled else 1.0)
    if scaled:
        raise UserError(f"{config.where}: an output matrix of its own behind a scaled stream is "
                        "not supported; T5 1.1 says tie_word_embeddings: false")
    return Untied(vocab=config.count("vocab_size", 32128))


def _stack(config: Config, depth: int, causal: bool) -> Stack:
    dropout, count = config.rate("dropout_rate", 0.1), config.count("num_heads", 8)
    look = dict(heads=count, head_dim=config.count("d_kv", 64), scale=1.0, dropout=dropout,
                probability_dropout=dropout)
    looks = (("attention", Attention(**look)),) if not causal else (
        ("attention", Attention(**look, reach=Causal())), ("cross", CrossAttention(**look)))
    said = config.text("feed_forward_proj", "relu")
    gate, _, word = said.rpartition("gated-")
    gated = said.startswith("gated-")
    word = "gelu_new" if gated and word == "gelu" else word
    if gate or word not in ACTIVATIONS:
        raise UserError(f"{config.where}: feed_forward_proj {said!r} is not supported")
    feedforward = FeedForward(width=config.count("d_ff", 2048), activation=ACTIVATIONS[word],
                              gated=gated, dropout=dropout, hidden_dropout=dropout)
    rms = RMSNorm(eps=config.number("layer_norm_epsilon", 1e-6))
    bias = RelativeBias(heads=count, buckets=config.count("relative_attention_num_buckets", 32),
                        distance=config.count("relative_attention_max_distance", 128),
                        causal=causal)
    each = Block(residual=PreNorm(norm=rms), sublayers=(*looks, ("feedforward", feedforward)))
    return Stack(segments=(Segment(pattern=(each,), repeats=depth),), bias=bias, final_norm=rms,
                 dropout=dropout)


def config(spec: Encoder | EncoderDecoder) -> dict:
    """Our architecture -> config.json."""
    if type(spec) not in (Encoder, EncoderDecoder):
        raise Unlike(f"an EncoderDecoder is needed, this is a {type(spec).__name__}")
    stack = spec.encoder if isinstance(spec, EncoderDecoder) else spec.stack
    attention, feedforward = block(stack, "attention", "feedforward")
    if stack.bias is None:
        raise Unlike("a relative bias is needed, this has none")
    word = NAMES[feedforward.activation]
    if feedforward.gated:
        word = "gated-" + ("gelu" if word == "gelu_new" else word)
    about = {
        "vocab_size": spec.embedding.vocab, "d_model": spec.embedding.width,
        "num_layers": stack.depth, "num_decoder_layers": getattr(spec, "decoder", stack).depth,
        "num_heads": attention.heads, "d_kv": attention.sizes(spec.embedding.width)[2],
        "d_ff": feedforward.width, "feed_forward_proj": word,
        "relative_attention_num_buckets": stack.bias.buckets,
        "relative_attention_max_distance": stack.bias.distance,
        "layer_norm_epsilon": eps(stack.final_norm), "dropout_rate": feedforward.dropout,
    }
    head = dict(spec.heads).get("logits")
    if head is not None:
        scaled = getattr(head, "scale", 1.0) != 1.0
        about |= {"scale_decoder_outputs": scaled,
                  "tie_word_embeddings": scaled or isinstance(head, Tied)}
    return about


def rows(spec: Encoder | EncoderDecoder) -> list[Row]:
    """The name table."""
    two = isinstance(spec, EncoderDecoder)
    sides = [("encoder", spec.encoder), ("decoder", spec.decoder)] if two else [
        ("stack", spec.stack)]
    heads = {"logits": unembedding(spec), "classes": classifier("classification_head.out_proj"),
             "tags": classifier("classifier"), "span": classifier("qa_outputs")}
    pooler = dense("pooler/dense", "classification_head.dense") * isinstance(spec.pooler, Pooler)
    return [row("embedding/tokens", TABLE),
            *(line for ours, stack in sides for line in _side(ours, stack)), *pooler,
            *rows_of(spec, heads)]


def _side(ours: str, stack: Stack) -> list[Row]:
    theirs = f"transformer.{'encoder' if ours == 'stack' else ours}."
    parts = dict(stack.segments[0].pattern[0].sublayers)
    each, words = [], {"attention": "SelfAttention", "cross": "EncDecAttention"}
    for n, (name, part) in enumerate(parts.items()):
        layer = theirs + f"block.{{l}}.layer.{n}."
        each += norm(f"{name}_norm", layer + "layer_norm", bias=False)
        if name in words:
            each += [row(f"{name}/{to}", f"{layer}{words[name]}.{to[0]}.weight",
                         Linear(ins=2 if to == "out" else 1))
                     for to in ("query", "key", "value", "out")]
            continue
        ups = (("gate", "wi_0"), ("up", "wi_1")) if part.gated else (("up", "wi"),)
        each += [row(f"{name}/{to}", f"{layer}DenseReluDense.{word}.weight", Linear())
                 for to, word in (*ups, ("down", "wo"))]
    first = theirs + "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return [row(f"{ours}/bias/table", first), *layers(ours, stack, each),
            *norm(f"{ours}/final_norm", theirs + "final_layer_norm", bias=False)]


BARE = ("T5ForConditionalGeneration", "T5Model", "T5EncoderModel", "T5ForQuestionAnswering")
FAMILY = Family(
    model_type="t5", spec=spec, config=config, rows=rows, prefix="transformer.",
    prefixes=dict.fromkeys(BARE, ""),
    architectures={
        "T5ForConditionalGeneration": ("logits",), "T5Model": (), "T5EncoderModel": (),
        "T5ForSequenceClassification": ("classes",), "T5ForTokenClassification": ("tags",),
        "T5ForQuestionAnswering": ("span",)},
    tied={"transformer.encoder.embed_tokens.weight": TABLE,
          "transformer.decoder.embed_tokens.weight": TABLE, "lm_head.weight": TABLE},
    output="lm_head.weight", forced=True, pooled=last_end,
    unread=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$",),
)
