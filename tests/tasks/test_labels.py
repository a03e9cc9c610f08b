"""Tasks of one label a row: classes, pairs, similarity, multiple choice."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.tasks.classification import Classification
from transformer.tasks.entailment import Entailment
from transformer.tasks.layout import Encoding, Generative
from transformer.tasks.multiple_choice import MultipleChoice
from transformer.tasks.similarity import Similarity

MOOD = Classification(classes=("bad", "good"))
CHOICE = {"context": "ab", "question": "cd?", "choices": ["x", "yyyy yy", "z"], "label": 1,
          "where": "f:3"}


@pytest.mark.parametrize("label, index", [("bad", 0), ("good", 1), (0, 0), (1, 1), ("1", 1),
                                          (np.int64(1), 1)])
def test_labels_by_name_or_index(tokenizer, label, index):
    row = MOOD.example({"text": "ab", "label": label}, tokenizer, 10)
    assert row["labels"] == index and row["labels"].dtype == np.int32


@pytest.mark.parametrize("label", [-1, 2, -100, "ugly", None, 0.5, True, "", "2",
                                   pytest.param(10**400, id="huge")])
def test_labels_out_of_range_are_refused_with_their_place(tokenizer, label):
    with pytest.raises(UserError, match="^data.jsonl:7: label "):
        MOOD.example({"text": "ab", "label": label, "where": "data.jsonl:7"}, tokenizer, 10)


def test_names_that_are_numbers_are_not_indices(tokenizer):
    news = Classification(classes=("1", "2", "3"))
    assert news.example({"text": "ab", "label": 1}, tokenizer, 10)["labels"] == 0
    with pytest.raises(UserError, match="'?0'? is not one of 1, 2, 3"):
        news.example({"text": "ab", "label": 0}, tokenizer, 10)


@pytest.mark.parametrize("record, message", [
    ({"label": 0, "where": "f:2"}, "f:2: no field 'text'; it has label"),
    ({"text": 5, "label": 0, "where": "f:2"}, "f:2: text is 5, but it must be text"),
    ({"text": "ab", "where": "f:2"}, "f:2: no field 'label'; it has text")])
def test_missing_fields_are_named(tokenizer, record, message):
    with pytest.raises(UserError, match=message):
        MOOD.example(record, tokenizer, 10)


def test_classes_must_differ():
    with pytest.raises(UserError, match="two or more different"):
        Classification(classes=("a", "a"))


def test_a_classifier_reads_text_without_a_label(tokenizer, shown):
    row = MOOD.inputs({"text": "ab"}, tokenizer, 10)
    assert shown(row["tokens"]) == ["<start>", "ab", "<extract>"] and "labels" not in row


def test_classes_are_predicted_for_real_rows_and_scored():
    segments = np.array([[1, 1], [1, 0], [1, 1], [0, 0]])
    outputs = {"classes": np.array([[0, 1], [2, 1], [0, 3], [9, 0]])}
    guess = MOOD.predict(outputs, {"segments": segments}, None)
    assert guess == ["good", "bad", "good"]
    records = [{"label": 1}, {"label": "good"}, {"label": "bad"}]
    assert MOOD.score(guess, records) == pytest.approx(
        {"accuracy": 1 / 3, "f1": 0.5, "matthews": -0.5})
    three = Classification(classes=("a", "b", "c"))
    assert set(three.score(["a"], [{"label": "b"}])) == {"accuracy", "matthews", "macro_f1"}
    flipped = Classification(classes=("bad", "good"), positive="bad")
    assert flipped.score(guess, records)["f1"] == 0
    assert (MOOD.width, three.width) == (2, 3)


def test_pairs_keep_their_order(tokenizer, shown):
    record = {"premise": "ab", "hypothesis": "cd", "label": "neutral"}
    row = Entailment().example(record, tokenizer, 10)
    assert shown(row["tokens"]) == ["<start>", "ab", "<delimiter>", "cd", "<extract>"]
    assert row["labels"] == 1
    row = Entailment(layout=Encoding()).example(record, tokenizer, 10)
    assert shown(row["tokens"]) == ["<cls>", "ab", "<sep>", "cd", "<sep>"]


def test_similarity_is_laid_out_in_both_orders(tokenizer, shown):
    record = {"first": "ab", "second": "cd ef", "score": 2.0}
    row = Similarity().example(record, tokenizer, 10)
    assert [shown(tokens) for tokens in row["tokens"]] == [
        ["<start>", "ab", "<delimiter>", "cd", " ef", "<extract>"],
        ["<start>", "cd", " ef", "<delimiter>", "ab", "<extract>"]]
    assert row["pooled"].tolist() == [5, 5]
    np.testing.assert_allclose(row["labels"], 0.4)
    assert row["labels"].dtype == np.float32
    one = Similarity(layout=Encoding()).example(record, tokenizer, 10)
    assert one["tokens"].shape == one["types"].shape == (6,)
    cut = Similarity().example({**record, "first": "ab " * 20, "second": "cd " * 20}, tokenizer, 12)
    assert cut["tokens"].shape == (2, 12)


@pytest.mark.parametrize("score", [-1, 5.1, "high", None, pytest.param(10**400, id="huge"),
                                   pytest.param(-10**400, id="low")])
def test_scores_out_of_range_are_refused(tokenizer, score):
    record = {"first": "ab", "second": "cd", "score": score, "where": "f:9"}
    with pytest.raises(UserError, match="^f:9: score"):
        Similarity().example(record, tokenizer, 10)


def test_similarity_adds_the_scores_of_both_orders():
    batch = {"segments": np.array([[1], [1], [1], [1], [0], [0]])}
    outputs = {"score": np.array([[0.5], [0.1], [0.0], [0.2], [9.0], [9.0]])}
    guess = Similarity().predict(outputs, batch, None)
    np.testing.assert_allclose(guess, [3.0, 1.0])
    assert Similarity().score(guess, [{"score": "5"}, {"score": 0}])["pearson"] == pytest.approx(1)
    alone = Similarity(layout=Encoding(), low=-1.0, high=1.0)
    np.testing.assert_allclose(alone.predict({"score": np.array([[0.75]])},
                                             {"segments": np.ones((1, 3))}, None), [0.5])


def test_choices_are_rows_of_one_width(tokenizer, shown):
    row = MultipleChoice(count=3).example(CHOICE, tokenizer, 20)
    assert [shown(tokens) for tokens in row["tokens"]] == [
        ["<start>", "ab", " cd?", "<delimiter>", "x", "<extract>", "<pad>", "<pad>"],
        ["<start>", "ab", " cd?", "<delimiter>", "yyy", "y", " yy", "<extract>"],
        ["<start>", "ab", " cd?", "<delimiter>", "z", "<extract>", "<pad>", "<pad>"]]
    assert row["segments"].sum(1).tolist() == [6, 8, 6]
    assert row["pooled"].tolist() == [5, 7, 5] and row["labels"] == 1
    row = MultipleChoice(count=3, question="", layout=Encoding()).example(CHOICE, tokenizer, 20)
    assert shown(row["tokens"][0]) == ["<cls>", "ab", "<sep>", "x", "<sep>", "<pad>", "<pad>"]
    assert row["types"].tolist()[0] == [0, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize("change, message", [
    ({"label": 3}, "label is 3"), ({"label": 10**400}, "label is 10{39}, but it must lie"),
    ({"label": -1}, "label is -1"), ({"label": 1.5}, "whole number"),
    ({"choices": ["a", "b"]}, "2 choices"), ({"choices": []}, "list of texts")])
def test_bad_choices_are_refused_with_their_place(tokenizer, change, message):
    with pytest.raises(UserError, match=f"^f:3: .*{message}"):
        MultipleChoice(count=3).example({**CHOICE, **change}, tokenizer, 20)


def test_the_best_choice_is_predicted():
    batch = {"segments": np.array([[1]] * 6 + [[0]] * 3)}
    outputs = {"score": np.array([0.1, 0.9, 0.3, 2.0, -1.0, 0.0, 7.0, 8.0, 9.0])[:, None]}
    task = MultipleChoice(count=3)
    assert task.predict(outputs, batch, None) == [1, 0]
    assert task.score([1, 0], [CHOICE, CHOICE]) == {"accuracy": 0.5}
    assert Generative().orders == 2
