"""RoBERTa: BERT's names; positions count tokens that are no padding, from the padding id + 1."""

from __future__ import annotations

import numpy as np

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.families import bert
from transformer.interop.family import Family, Unlike
from transformer.interop.heads import classifier, masked, rows_of
from transformer.interop.table import Row, dense
from transformer.nn.head import Masked, NoPooler, Pooler
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned

PAD = 1  # where config.json does not say


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    norm, offset = LayerNorm(eps=config.number("layer_norm_eps", 1e-12)), _first(config)
    length = config.count("max_position_embeddings", 512) - offset
    if length < 1:
        raise UserError(f"{config.where}: max_position_embeddings leaves no position behind the "
                        f"{offset} that padding takes")
    # the transform of its masked head has the erf form whatever hidden_act is
    return bert.encoder(config, heads, position=Learned(length=length, offset=offset), types=2,
                        norm=norm, pooler=NoPooler() if heads in bert.UNPOOLED else Pooler(),
                        mlm=Masked(activation="gelu", norm=norm), vocab=50265)


def _first(config: Config) -> int:
    pad = config.id("pad_token_id") if "pad_token_id" in config else PAD
    if pad is None:
        raise UserError(f"{config.where}: pad_token_id must be a token id")
    return pad + 1


def positions(ids: np.ndarray, config: Config) -> np.ndarray:
    """Of each token: how many before it are no padding; -1, their row for it, of padding itself."""
    real = ids != _first(config) - 1
    return np.cumsum(real, 1) * real - 1


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    about, position = bert.config(spec), spec.embedding.position
    offset = getattr(position, "offset", 0)
    if not offset:
        raise Unlike("positions with unused rows before them are needed, this has none")
    return {**about, "max_position_embeddings": position.length + offset,
            "pad_token_id": offset - 1}


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    names = [name for name, _ in spec.heads]
    own = names == ["classes"]  # the pooler of its classifier is part of that
    pooled = "classifier.dense" if own else "roberta.pooler.dense"
    heads = {"mlm": masked("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
             "classes": classifier("classifier.out_proj"), "score": classifier("classifier"),
             "tags": classifier("classifier"), "span": classifier("qa_outputs")}
    return [*bert.trunk(spec, "roberta."), *rows_of(spec, heads),
            *(dense("pooler/dense", pooled) * isinstance(spec.pooler, Pooler))]


FAMILY = Family(
    model_type="roberta", spec=spec, config=config, rows=rows, prefix="roberta.",
    architectures={
        "RobertaForMaskedLM": ("mlm",), "RobertaModel": (),
        "RobertaForSequenceClassification": ("classes",), "RobertaForMultipleChoice": ("score",),
        "RobertaForTokenClassification": ("tags",), "RobertaForQuestionAnswering": ("span",)},
    tied={"lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
          "lm_head.decoder.bias": "lm_head.bias"},
    unread=(bert.COUNTED,), renamed=bert.OLD, positions=positions,
)
