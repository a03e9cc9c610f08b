"""Marian: BART's names; sines, then cosines, which files no longer keep."""

from __future__ import annotations

from transformer.interop.config import Config
from transformer.interop.families import bart
from transformer.interop.family import Family
from transformer.interop.heads import encoding, rows_of
from transformer.interop.table import Row
from transformer.nn.head import Tied
from transformer.nn.model import EncoderDecoder
from transformer.nn.norm import NoNorm
from transformer.nn.position import Sinusoidal


def spec(config: Config, heads: tuple[str, ...]) -> EncoderDecoder:
    """config.json -> our architecture."""
    vocab = config.count("vocab_size", 58101)
    config.refuse("share_encoder_decoder_embeddings", True)
    config.refuse("decoder_vocab_size", vocab)
    length = config.count("max_position_embeddings", 1024)
    position = Sinusoidal(interleaved=False, length=length)
    return EncoderDecoder(
        embedding=bart.embedding(config, vocab, position, NoNorm()), **bart.stacks(config),
        heads=encoding(heads, config, 0.0, logits=Tied(bias=bart.BIAS in config.names)))


def config(spec: EncoderDecoder) -> dict:
    """Our architecture -> config.json."""
    return {**bart.config(spec), "decoder_vocab_size": spec.embedding.vocab,
            "share_encoder_decoder_embeddings": True}


def rows(spec: EncoderDecoder) -> list[Row]:
    """The name table."""
    return [*bart.sides(spec), *rows_of(spec, {"logits": bart.logits(spec)})]


FAMILY = Family(
    model_type="marian", spec=spec, config=config, rows=rows, prefix="model.",
    architectures={"MarianMTModel": ("logits",), "MarianModel": ()}, tied=bart.TIED,
    unread=(r"(^|\.)embed_positions\.weight$",),
)
