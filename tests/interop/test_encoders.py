"""What is particular to the families of encoders, beyond their tables."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from transformer.error import UserError
from transformer.interop import original
from transformer.interop.anatomy import differences
from transformer.interop.arrays import Translation
from transformer.interop.config import Config
from transformer.interop.counterpart import aligned, counterpart
from transformer.interop.exporting import send
from transformer.interop.families import albert as albert_family
from transformer.interop.families import roberta as roberta_family
from transformer.interop.family import Unsupported, known
from transformer.interop.folder import Folder
from transformer.interop.half import half
from transformer.interop.importing import read
from transformer.nn.door import Model
from transformer.nn.head import Classes, Pooler, TokenClasses, Transform
from transformer.spec import override
from transformer.training import paths
from transformer.zoo import albert, bert, distilbert, electra, modernbert, roberta

V = 61
LABELS = {"id2label": {"0": "a", "1": "b", "2": "c"}}


@pytest.fixture
def export(tmp_path, monkeypatch, build):
    """export(spec, special={}, part=None) -> (the parameters, the directory read back, report)."""
    monkeypatch.setattr(original, "missing", lambda: ["torch"])

    def export(spec, special={}, part=None):
        tiny = build(spec)
        tokenizer = SimpleNamespace(size=spec.embedding.vocab, special=special, spec=None)
        experiment = SimpleNamespace(rows=SimpleNamespace(length=16), task=None)
        loaded = SimpleNamespace(model=tiny.model, params=tiny.params, tokenizer=tokenizer,
                                 experiment=experiment, path=tmp_path)
        target = tmp_path / (part or "there")
        report = send(loaded, target, part)
        return tiny.params, read(Folder(target)), report

    return export


def outputs(spec, params, batch, **how):
    return jax.device_get(jax.jit(lambda p, b: Model(spec).apply(p, b, **how))(params, batch))


def test_each_half_of_a_pair_is_a_model_by_itself(build):
    pair = electra.electra(width=24, depth=1, heads=4, rank=12, vocab=V, length=16, generator=0.5)
    tiny = build(pair)
    both = tiny.forward(tiny.params, tiny.batch)
    shapes = {name: array.shape for name, array in Translation(pair).outputs(both, ()).items()}
    assert shapes["logits"] == (4, 12) and shapes["prediction_logits"] == (4, 12, V)
    for part, name, head in (("discriminator", "ElectraForPreTraining", "replaced"),
                             ("generator", "ElectraForMaskedLM", "mlm")):
        spec, params = half(pair, paths.named(tiny.params), part)
        found = counterpart(spec, params, known()["electra"], {})
        assert found.architecture == name and found.params.keys() == params.keys()
        alone = outputs(spec, paths.nested(params), tiny.batch)
        np.testing.assert_allclose(alone[head], both[head], atol=1e-6)
        assert params["embedding/tokens"] is tiny.params["discriminator"]["embedding"]["tokens"]
    assert "embedding/project" not in params  # the generator is as wide as the tables


def test_the_discriminator_is_the_half_that_is_kept(export):
    pair = electra.electra(width=24, depth=1, heads=4, rank=12, vocab=V, length=16)
    _, there, report = export(pair)
    assert there.architecture == "ElectraForPreTraining"
    assert report["notes"][0] == "this is the discriminator; --part=generator writes the other"


def test_only_a_pair_has_parts(export):
    with pytest.raises(UserError, match="not a pair; leave --part=generator out"):
        export(distilbert.distilbert("tiny"), part="generator")


def local(depth):
    return modernbert.modernbert(width=24, depth=depth, heads=4, hidden=20, vocab=V, reach=2)


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7, 22])
def test_segments_are_a_matter_of_form(depth):
    """What is read back may stack the same layers in other ways than our ModernBERT."""
    spec = local(depth)
    found = counterpart(spec, paths.named(Model(spec).shapes()), None, {})
    again = found.family.spec(Config(found.tree), ("mlm",))
    assert found.architecture == "ModernBertForMaskedLM" and differences(spec, again) == []
    assert differences(local(depth + 1), again)


def test_other_segments_are_read_back_as_the_same_model(export):
    _, there, report = export(local(3))
    assert [s.repeats for s in there.spec.stack.segments] == [1, 2]  # ours are 1 and 1
    assert report["outputs"]["mlm"]["packed"]["largest_difference"] < 1e-5


def test_layers_that_share_are_no_matter_of_form():
    spec = albert.albert("tiny")
    shared = override(spec, "stack.segments.0.shared", "()")
    assert differences(spec, shared)


def test_positions_begin_behind_the_padding(export):
    """RoBERTa's code ties the padding's id to the position table; ours was trained without."""
    spec = roberta.roberta(width=24, depth=1, heads=4, vocab=V, length=16, offset=2)
    params, there, _ = export(spec, {"pad": 0})
    assert there.config.tree["pad_token_id"] == 0
    assert there.config.tree["max_position_embeddings"] == 17
    ids = 1 + np.arange(32).reshape(2, 16)
    batch = Translation(there.spec, there.family, there.config).batch({"input_ids": ids})
    theirs = outputs(there.spec, paths.nested(there.params), batch)
    ours = outputs(spec, params, {"tokens": ids})
    np.testing.assert_allclose(theirs["mlm"], ours["mlm"], atol=1e-6)


@pytest.mark.parametrize("pad", [0, 1, 4])
def test_position_tables_move_to_where_they_are_read(pad):
    spec = roberta.roberta("tiny")
    table = np.random.default_rng(0).standard_normal((66, 64))
    moved, params = aligned(spec, {"embedding/positions": table}, pad)
    assert params["embedding/positions"].shape == moved.embedding.position.table(64)
    assert np.array_equal(params["embedding/positions"][pad + 1:], table[2:])
    assert aligned(bert.bert("nano"), {}, pad) == (bert.bert("nano"), {})


def test_positions_count_what_is_no_padding():
    ids = np.array([[5, 1, 6, 1], [1, 1, 7, 8]])
    expected = [[0, -1, 1, -1], [-1, -1, 0, 1]]  # -1: the row before the first, theirs for padding
    assert roberta_family.positions(ids, Config({})).tolist() == expected
    moved = np.where(ids == 1, 3, ids)
    assert roberta_family.positions(moved, Config({"pad_token_id": 3})).tolist() == expected


@pytest.mark.parametrize(("depth", "groups", "repeats"), [
    (12, 1, [12]), (5, 2, [3, 2]), (7, 3, [3, 2, 2]), (6, 3, [2, 2, 2])])
def test_layers_fall_into_groups(depth, groups, repeats):
    """Layer i is of group floor(i groups / depth)."""
    config = Config({"num_hidden_layers": depth, "num_hidden_groups": groups})
    segments = albert_family.spec(config, ()).stack.segments
    assert [segment.repeats for segment in segments] == repeats


def test_older_keys_of_modernbert_say_the_same():
    old = dict(num_hidden_layers=5, global_attn_every_n_layers=2, global_rope_theta=500.0,
               local_rope_theta=50.0, local_attention=6)
    new = dict(num_hidden_layers=5, local_attention=6, layer_types=[
        "full_attention", "sliding_attention"] * 2 + ["full_attention"], rope_parameters={
            "full_attention": {"rope_theta": 500.0}, "sliding_attention": {"rope_theta": 50.0}})
    specs = [known()["modernbert"].spec(Config(tree), ("mlm",)) for tree in (old, new)]
    assert specs[0] == specs[1]
    layers = [block for segment in specs[0].stack.segments
              for block in segment.pattern * segment.repeats]
    looks = [dict(block.sublayers)["attention"] for block in layers]
    assert [look.rotary.base for look in looks] == [500.0, 50.0, 500.0, 50.0, 500.0]
    assert [getattr(look.reach, "width", None) for look in looks] == [None, 3, None, 3, None]
    # 22 layers: one, seven times three
    published = known()["modernbert"].spec(Config({}), ()).stack.segments
    assert [(len(s.pattern), s.repeats) for s in published] == [(1, 1), (3, 7)]


BERT_BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
                 intermediate_size=3072, hidden_act="gelu", type_vocab_size=2,
                 max_position_embeddings=512, layer_norm_eps=1e-12)
# The config.json files of the hub, without what no family reads.
PUBLISHED = {
    "roberta": (roberta.roberta("base"), BERT_BASE | dict(
        vocab_size=50265, max_position_embeddings=514, layer_norm_eps=1e-5, pad_token_id=1,
        type_vocab_size=1)),
    "albert": (albert.albert("base"), BERT_BASE | dict(
        vocab_size=30000, embedding_size=128, hidden_act="gelu_new", hidden_dropout_prob=0,
        attention_probs_dropout_prob=0, num_hidden_groups=1, inner_group_num=1, gap_size=0)),
    "distilbert": (distilbert.distilbert("base"), dict(
        vocab_size=30522, dim=768, n_layers=6, n_heads=12, hidden_dim=3072, activation="gelu",
        max_position_embeddings=512, sinusoidal_pos_embds=False, tie_weights_=True)),
    "electra": (electra.electra("small").discriminator, BERT_BASE | dict(
        vocab_size=30522, embedding_size=128, hidden_size=256, num_attention_heads=4,
        intermediate_size=1024, summary_type="first", position_embedding_type="absolute")),
    "modernbert": (modernbert.modernbert("base"), dict(
        vocab_size=50368, hidden_size=768, num_hidden_layers=22, num_attention_heads=12,
        intermediate_size=1152, hidden_activation="gelu", max_position_embeddings=8192,
        norm_eps=1e-5, norm_bias=False, attention_bias=False, mlp_bias=False, decoder_bias=True,
        classifier_pooling="mean", classifier_bias=False, global_attn_every_n_layers=3,
        global_rope_theta=160_000.0, local_rope_theta=10_000.0, local_attention=128)),
}


@pytest.mark.parametrize("family", PUBLISHED)
def test_published_files_describe_our_published_sizes(family):
    ours, entries = PUBLISHED[family]
    heads = tuple(name for name, _ in ours.heads)
    assert differences(ours, known()[family].spec(Config(entries), heads)) == []


@pytest.mark.parametrize(("family", "heads", "entries", "message"), [
    ("modernbert", ("classes",), {"classifier_pooling": "max"}, "must be one of cls, mean"),
    ("modernbert", ("mlm",), {"decoder_bias": False}, "decoder_bias is False"),
    ("modernbert", (), {"rope_scaling": {"factor": 2.0}}, "rope_scaling is"),
    ("modernbert", (), {"layer_types": ["full_attention"]}, "for each of 22 layers"),
    ("modernbert", (), {"layer_types": [["x"]] * 22}, "for each of 22 layers"),
    ("modernbert", (), {"rope_parameters": [1]}, "rope_parameters must be an object"),
    ("roberta", (), {"max_position_embeddings": 2}, "no position behind the 2"),
    ("roberta", (), {"pad_token_id": "<pad>"}, "pad_token_id must be a token id"),
    ("albert", (), {"num_hidden_groups": 13}, "13 num_hidden_groups in 12 layers"),
    ("electra", ("score",), {"summary_type": "mean"}, "summary_type is 'mean'"),
    ("electra", ("score",), {"summary_activation": None}, "summary_activation is None"),
    ("distilbert", (), {"activation": "gelu_10"}, "activation is 'gelu_10'")])
def test_what_is_not_the_same_model_is_refused(family, heads, entries, message):
    with pytest.raises(UserError, match=message):
        known()[family].spec(Config(entries), heads)


def test_other_classes_do_not_mind_how_choices_are_read():
    known()["electra"].spec(Config({"summary_type": "mean"}), ("replaced",))


ROW = ("classes", Classes(classes=3)), ("score", Classes(classes=1))
EACH = ("tags", TokenClasses(classes=3)), ("span", TokenClasses(classes=2))
# (how our own model is made, {head: its class there}); heads are made with and without a pooler.
OURS = {
    "Albert": (lambda **how: albert.albert("tiny", **how), (
        ("MaskedLM", (albert.MASKED,)), ("PreTraining", (albert.MASKED, albert.SENTENCE_ORDER)))),
    "DistilBert": (lambda **how: distilbert.distilbert("tiny", **how), (
        ("MaskedLM", (distilbert.MASKED,)),)),
    "Roberta": (lambda **how: roberta.roberta("tiny", **how), (("MaskedLM", (roberta.MASKED,)),)),
    "ModernBert": (lambda **how: modernbert.modernbert("tiny", **how), (
        ("MaskedLM", (modernbert.MASKED,)),)),
    "Bert": (lambda **how: bert.bert("nano", **how), (
        ("MaskedLM", (bert.MASKED,)), ("PreTraining", (bert.MASKED, bert.NEXT_SENTENCE)))),
}
NAMES = {"classes": "SequenceClassification", "score": "MultipleChoice",
         "tags": "TokenClassification", "span": "QuestionAnswering"}


def made():
    for family, (make, pretraining) in OURS.items():
        for name, heads in pretraining:
            yield f"{family}For{name}", make(outputs=heads, pooler=len(heads) > 1)
        for head in ROW:
            yield f"{family}For{NAMES[head[0]]}", make(outputs=(head,), pooler=True)
        for name, head in EACH:
            if family == "ModernBert":
                transform = Transform(norm=modernbert.NORM, bias=False)
                head = TokenClasses(classes=head.classes, transform=transform)
            yield f"{family}For{NAMES[name]}", make(outputs=((name, head),), pooler=False)
    for name, head in (*ROW, *EACH, electra.MASKED, electra.REPLACED):
        spec = electra.encoder(width=64, depth=2, heads=4, rank=32, vocab=256, length=64,
                               outputs=((name, head),))
        if name in ("classes", "score"):
            spec = override(spec, "pooler", "Pooler(activation='gelu')")
        kind = {**NAMES, "mlm": "MaskedLM", "replaced": "PreTraining"}[name]
        yield f"ElectraFor{kind}", spec


MADE = dict(made())


@pytest.mark.parametrize("name", MADE)
def test_our_own_models_have_their_class(name):
    spec = MADE[name]
    found = counterpart(spec, paths.named(Model(spec).shapes()), None, {})
    assert found.architecture == name and found.notes == []
    assert sorted(found.params) == sorted(paths.named(Model(spec).shapes()))


def test_the_mean_of_a_text_is_a_choice_of_the_pooler():
    spec = modernbert.modernbert("tiny", pooler=True, outputs=ROW[:1])
    spec = override(spec, "pooler.over", "mean")
    found = counterpart(spec, paths.named(Model(spec).shapes()), None, {})
    assert found.tree["classifier_pooling"] == "mean"
    with pytest.raises(Unsupported, match="pooler"):
        counterpart(*roberta_with(Pooler(over="mean")), None, {})


def roberta_with(pooler):
    spec = roberta.roberta("tiny", pooler=True, outputs=ROW[:1])
    spec = override(spec, "pooler.over", pooler.over)
    return spec, paths.named(Model(spec).shapes())
