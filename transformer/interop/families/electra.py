"""ELECTRA: BERT's names. Generator and discriminator are a directory each; of our pairs one half is
written, see `interop.half`."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.config import NAMES, Config
from transformer.interop.families import bert
from transformer.interop.family import Family
from transformer.interop.heads import classifier, masked, rows_of
from transformer.interop.table import Row, dense
from transformer.nn.head import Masked, NoPooler, Pooler, Replaced
from transformer.nn.model import Encoder
from transformer.nn.norm import LayerNorm
from transformer.nn.position import Learned

SIZES = (256, 12, 4, 1024)


def spec(config: Config, heads: tuple[str, ...]) -> Encoder:
    """config.json -> our architecture."""
    if "score" in heads:
        for name, only in (("summary_type", "first"), ("summary_use_proj", True)):
            config.refuse(name, only)
        if config.tree.get("summary_activation", "gelu") is None:
            raise UserError(f"{config.where}: summary_activation is None; name one")
    norm = LayerNorm(eps=config.number("layer_norm_eps", 1e-12))
    width, rank = config.count("hidden_size", SIZES[0]), config.count("embedding_size", 128)
    poolers = {("classes",): Pooler(activation="gelu"),  # whatever hidden_act is, as in `mlm`
               ("score",): Pooler(activation=config.activation("summary_activation", "gelu"))}
    return bert.encoder(
        config, heads, sizes=SIZES, types=2, norm=norm, rank=None if rank == width else rank,
        position=Learned(length=config.count("max_position_embeddings", 512)),
        pooler=poolers.get(heads, NoPooler()), mlm=Masked(activation="gelu", norm=norm),
        replaced=Replaced(activation=config.activation("hidden_act", "gelu")))


def config(spec: Encoder) -> dict:
    """Our architecture -> config.json."""
    about = {**bert.config(spec), "embedding_size": spec.embedding.rank or spec.embedding.width}
    if isinstance(spec.pooler, Pooler):
        about["summary_activation"] = NAMES[spec.pooler.activation]
    return about


def rows(spec: Encoder) -> list[Row]:
    """The name table."""
    found, made = "discriminator_predictions.", "generator_predictions."
    heads = {"mlm": masked(made + "dense", made + "LayerNorm", "generator_lm_head.bias"),
             "replaced": [*dense("transform", found + "dense"),
                          *dense("classes", found + "dense_prediction")],
             "classes": classifier("classifier.out_proj"), "span": classifier("qa_outputs"),
             **{name: classifier("classifier") for name in ("score", "tags")}}
    choosing = "score" in dict(spec.heads)
    pooler = dense("pooler/dense", "sequence_summary.summary" if choosing else "classifier.dense")
    return [*bert.trunk(spec, "electra."), *(pooler * isinstance(spec.pooler, Pooler)),
            *(dense("embedding/project", "electra.embeddings_project") * bool(spec.embedding.rank)),
            *rows_of(spec, heads)]


FAMILY = Family(
    model_type="electra", spec=spec, config=config, rows=rows, prefix="electra.",
    architectures={
        "ElectraForPreTraining": ("replaced",), "ElectraForMaskedLM": ("mlm",), "ElectraModel": (),
        "ElectraForSequenceClassification": ("classes",), "ElectraForMultipleChoice": ("score",),
        "ElectraForTokenClassification": ("tags",), "ElectraForQuestionAnswering": ("span",)},
    tied={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
    unread=(bert.COUNTED,), renamed=bert.OLD,
)
