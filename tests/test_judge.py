"""Evaluation against closed forms, and the checks before it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.answers import alike, prompt_of
from transformer.data.chunks import Chunks
from transformer.data.encode import encode
from transformer.data.padding import Padded
from transformer.data.source import Jsonl, Text
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.generation.beam import Beam
from transformer.judge import Judge
from transformer.nn.door import Model
from transformer.nn.head import Classes
from transformer.objectives.classify import Classify
from transformer.objectives.next_token import NextToken
from transformer.tasks.classification import Classification
from transformer.tasks.rewriting import Together
from transformer.tasks.translation import Translation
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.wiring import Data, data_of
from transformer.zoo.gpt2 import gpt2

V = 384
TINY = gpt2(width=16, depth=1, heads=2, vocab=V, length=32, dropout=0.1)


def experiment(**fields):
    defaults = dict(model=TINY, data=Text(path="none"), objective=NextToken(), tokenizer=Bytes(),
                    rows=Chunks(length=16, cross_documents=True), steps=1, batch=4,
                    optimizer=AdamW(learning_rate=Constant(peak=1.0)))
    return Experiment(**{**defaults, **fields})


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """(corpus, the text as read): two documents, with letters of two bytes."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "text.txt").write_text("Ein Bär läuft.\nEr ist müde.\n\nzwei drei vier\n\n" * 3)
    tokenizer = Bytes().train()
    return encode(Text(path=str(folder / "text.txt")), tokenizer, folder / "cache"), tokenizer


def judged(made, corpus, tokenizer, params):
    data = Data(made.rows.build(corpus, made.objective.lookahead), corpus=corpus)
    return Judge(made, Model(made.model), data, tokenizer)(params)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary(text):
    corpus, tokenizer = text
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), Model(TINY).shapes())
    found = judged(experiment(), corpus, tokenizer, zeros)
    words = len("Ein Bär läuft. Er ist müde. zwei drei vier".split()) * 3
    inner = 3  # ends of lines inside documents; those between documents belong to none
    assert found["loss"] == pytest.approx(math.log(V), rel=1e-6)
    assert found["perplexity"] == pytest.approx(V, rel=1e-5)
    size = len("Ein Bär läuft.\nEr ist müde.zwei drei vier".encode()) * 3
    assert found["bits_per_byte"] == pytest.approx(math.log2(V) * len(corpus) / size, rel=1e-5)
    assert found["word_perplexity"] == pytest.approx(
        math.exp(math.log(V) * len(corpus) / (words + inner)), rel=1e-4)


def test_what_is_found_does_not_depend_on_the_batch(text):
    corpus, tokenizer = text
    params = Model(TINY).init(jax.random.key(0))
    one, few, sliced = (judged(experiment(**fields), corpus, tokenizer, params) for fields in (
        dict(batch=1), dict(batch=4), dict(batch=6, accumulate=2)))
    for name, value in one.items():
        assert few[name] == pytest.approx(value, rel=1e-5), name
        assert sliced[name] == pytest.approx(value, rel=1e-5), name


def test_evaluation_takes_no_more_rows_at_once_than_a_slice_of_training(text):
    corpus, tokenizer = text
    made = experiment(batch=6, accumulate=3)
    data = Data(made.rows.build(corpus, 1), corpus=corpus)
    judge, seen = Judge(made, Model(TINY), data, tokenizer), []
    judge.step = lambda params, batch, key: (seen.append(batch["tokens"].shape), ({}, {}))[1]
    judge._metrics = lambda sums: {}
    judge(None)
    assert {shape[0] for shape in seen} == {2}


def test_a_deciding_metric_that_will_not_be_found_is_refused_before_training(text):
    corpus, tokenizer = text
    made = experiment()
    data = Data(made.rows.build(corpus, 1), corpus=corpus)
    judge = Judge(made, Model(TINY), data, tokenizer)
    for name in ("loss", "perplexity", "accuracy", "bits_per_byte", "word_perplexity"):
        judge.require_metric(f"validation_{name}")
    with pytest.raises(UserError, match="validation_acuracy.*did you mean validation_accuracy"):
        judge.require_metric("validation_acuracy")


def test_a_signal_leaves_the_evaluation(text):
    corpus, tokenizer = text
    made = experiment()
    data = Data(made.rows.build(corpus, 1), corpus=corpus)
    judge = Judge(made, Model(TINY), data, tokenizer)
    assert judge(Model(TINY).init(jax.random.key(0)), stopped=lambda: True) is None


def labelled(tmp_path, classes, head=2, labels=(0, 1, 1), **fields):
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(f'{{"text": "a b c", "label": "{label}"}}\n' for label in labels))
    model = dataclasses.replace(TINY, heads=(*TINY.heads, ("classes", Classes(classes=head))))
    made = experiment(model=model, objective=Classify(), rows=Padded(length=16),
                      task=Classification(classes=classes), data=Jsonl(path=str(path)), **fields)
    tokenizer = Bytes().train()
    return Judge(made, Model(model), data_of(made, made.data, tokenizer), tokenizer)


def test_a_head_of_other_size_than_the_task_is_refused(tmp_path):
    labelled(tmp_path, ("0", "1"))
    for head in (1, 3):
        with pytest.raises(UserError, match=f"has {head} classes, but Classification"):
            labelled(tmp_path, ("0", "1"), head=head)


def test_a_model_without_the_head_is_refused(tmp_path):
    judge = labelled(tmp_path, ("0", "1"))
    with pytest.raises(UserError, match="reads the head 'classes', but the model has logits"):
        Judge(judge.experiment, Model(TINY), judge.data, judge.tokenizer)


def test_records_without_a_row_of_their_own_are_refused(tmp_path):
    judge = labelled(tmp_path, ("0", "1"))
    data = dataclasses.replace(judge.data, records=judge.data.records[:2])
    with pytest.raises(UserError, match="2 records became 3 rows"):
        Judge(judge.experiment, judge.model, data, judge.tokenizer)


def test_a_prompt_holds_nothing_of_the_answer():
    tokenizer = Bytes().train()
    layout = Together()
    pair = layout.pair(tokenizer.encode("abc"), tokenizer.encode("XYZ"), tokenizer, 16, 16, "here")
    rows = Padded(length=15).build([pair], 1, tokenizer=tokenizer)
    example = NextToken().prepare(rows.example(0), np.random.default_rng(0), tokenizer)
    batch = {name: array[None] for name, array in example.items()}
    prompt = prompt_of(batch, NextToken(), tokenizer)
    kept = prompt["tokens"][prompt["segments"] > 0].tolist()
    assert kept == layout.prompt(tokenizer.encode("abc"), tokenizer, 16, "here")["tokens"].tolist()


def test_rows_are_answered_together_where_the_positions_allow():
    lengths = np.array([3, 9, 4, 10, 3])
    assert [group.tolist() for group in alike(lengths, None)] == [[0, 4, 2, 1, 3]]
    assert [group.tolist() for group in alike(lengths, 1)] == [[0, 4, 2], [1, 3]]
    assert [sorted(group) for group in alike(lengths, 0)] == [[0, 4], [2], [1], [3]]


# with positions to spare (32), and none
@pytest.mark.parametrize(("length", "choose"), [(20, None), (32, None), (32, Beam(width=2))])
def test_an_answer_does_not_depend_on_the_other_rows(tmp_path, length, choose):
    path = tmp_path / "pairs.jsonl"
    sources = ["a", "abcdefgh", "ab", "abcdefghij", "c"]
    path.write_text("".join(f'{{"source": "{s}", "target": "x"}}\n' for s in sources))
    made = experiment(rows=Padded(length=length), task=Translation(layout=Together()),
                      data=Jsonl(path=str(path)), batch=5)
    tokenizer, model = Bytes().train(), Model(TINY)
    draw = np.random.default_rng(0)  # wild enough that answers differ and are letters
    params = jax.tree.map(lambda leaf: jnp.asarray(draw.normal(0, 1, leaf.shape), jnp.float32),
                          model.shapes())
    data = data_of(made, made.data, tokenizer)
    judges = [Judge(dataclasses.replace(made, batch=size), model, data, tokenizer, choose=choose)
              for size in (5, 1)]
    for judge in judges:
        judge(params)
    together, alone = (judge.predictions for judge in judges)
    assert together == alone and len(set(together)) > 1
