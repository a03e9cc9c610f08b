"""Tasks that judge positions: tagging and extractive answers."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.tasks.extractive_answer import ExtractiveAnswer
from transformer.tasks.layout import Generative
from transformer.tasks.tagging import Tagging

TAGS = Tagging(classes=("O", "B-P", "I-P"))
SENTENCE = {"words": ["Anna", "saw", "Bob"], "tags": ["B-P", "O", "B-P"], "where": "f:4"}
QUESTION = {"question": "who", "context": "here is Barbara now", "answer": "Barbara", "start": 8,
            "where": "f:5"}


def test_one_token_of_each_word_is_tagged(tokenizer, shown):
    row = TAGS.example(SENTENCE, tokenizer, 20)
    assert shown(row["tokens"]) == ["<cls>", "Ann", "a", " saw", " Bob", "<sep>"]
    assert row["weights"].tolist() == [0, 1, 0, 1, 1, 0]
    assert row["labels"].tolist() == [0, 1, 0, 0, 1, 0]
    last = Tagging(classes=TAGS.classes, read="last", layout=Generative())
    row = last.example(SENTENCE, tokenizer, 20)
    assert row["weights"].tolist() == [0, 0, 1, 1, 1, 0]
    assert row["labels"].tolist() == [0, 0, 1, 0, 1, 0]


def test_a_space_does_not_stand_for_the_word_after_it(tokenizer, shown, monkeypatch):
    letters = lambda text: (tokenizer.encode_batch(text), [(n, n + 1) for n in range(len(text))])
    monkeypatch.setattr(tokenizer, "encode", lambda c: 10 + "abcdefghijklmnop ".index(c))
    monkeypatch.setattr(tokenizer, "spans", letters)
    row = TAGS.inputs({"words": ["ab", "cd"]}, tokenizer, 20)  # cls a b _ c d sep
    assert row["weights"].tolist() == [0, 1, 0, 0, 1, 0, 0]


def test_words_beyond_the_row_are_cut_and_counted_as_wrong(tokenizer):
    row = TAGS.example(SENTENCE, tokenizer, 5)
    assert row["weights"].tolist() == [0, 1, 0, 1, 0]
    found = TAGS.score([["B-P", "O"]], [SENTENCE])
    assert found == pytest.approx({"accuracy": 2 / 3, "f1": 2 / 3})


def test_a_word_of_nothing_still_has_a_token(tokenizer, shown):
    row = TAGS.example({"words": ["a", "\u200b", "b"], "tags": ["O"] * 3}, tokenizer, 20)
    assert shown(row["tokens"]) == ["<cls>", "a", "<unk>", " b", "<sep>"]
    assert row["weights"].sum() == 3


@pytest.mark.parametrize("change, message", [
    ({"tags": ["O"]}, "3 words, but 1 tags"), ({"tags": ["O", "O", "B-X"]}, "'B-X' is not one of"),
    ({"words": []}, "list of texts")])
def test_bad_sentences_are_refused_with_their_place(tokenizer, change, message):
    with pytest.raises(UserError, match=f"^f:4: .*{message}"):
        TAGS.example({**SENTENCE, **change}, tokenizer, 20)


def test_tags_are_read_where_words_are():
    outputs = {"tags": np.eye(3)[np.array([[2, 1, 0, 2], [1, 1, 1, 1]])]}
    batch = {"segments": np.array([[1, 1, 1, 0], [0, 0, 0, 0]]),
             "weights": np.array([[0, 1, 1, 0], [0, 0, 0, 0]])}
    assert TAGS.predict(outputs, batch, None) == [["B-P", "O"]]


def test_the_answer_is_found_in_tokens(tokenizer, shown):
    row = ExtractiveAnswer().example(QUESTION, tokenizer, 30)
    begin, end = row["labels"]
    assert shown(row["tokens"][begin:end + 1]) == [" Bar", "bar", "a"]
    assert shown(row["tokens"])[:3] == ["<cls>", "who", "<sep>"]
    allowed = row["weights"] > 0
    assert allowed[0] and not allowed[1:3].any() and allowed[3:-1].all() and not allowed[-1]


def test_an_answer_beyond_the_row_is_no_answer_here(tokenizer):
    for layout in (ExtractiveAnswer().layout, Generative()):
        row = ExtractiveAnswer(layout=layout).example(QUESTION, tokenizer, 8)
        assert len(row["tokens"]) == 8
        assert row["labels"].tolist() == [row["pooled"]] * 2
        assert row["weights"][row["pooled"]] == 1


def test_neighbours_of_the_answer_are_not_in_it(tokenizer, shown):
    record = {**QUESTION, "context": "abcBobdef", "answer": "Bob", "start": 3}
    row = ExtractiveAnswer().example(record, tokenizer, 30)
    assert shown(row["tokens"][row["labels"]]) == ["Bob", "Bob"]


def test_an_answer_is_learnt_from_where_its_last_token_fits(tokenizer):
    """cls who sep | her e is Bar bar a now | sep: its last token is number 8."""
    rows = {length: ExtractiveAnswer().example(QUESTION, tokenizer, length)
            for length in range(8, 13)}
    assert [len(row["tokens"]) for row in rows.values()] == [8, 9, 10, 11, 11]
    assert [row["labels"].tolist() for row in rows.values()] == [[0, 0]] * 2 + [[6, 8]] * 3


def test_answers_given_as_lists_and_without_a_start(tokenizer):
    task = ExtractiveAnswer()
    labels = task.example(QUESTION, tokenizer, 30)["labels"].tolist()
    several = {**QUESTION, "answer": ["Barbara", "here"], "start": [8, 0]}
    assert task.example(several, tokenizer, 30)["labels"].tolist() == labels
    found = {name: value for name, value in QUESTION.items() if name != "start"}
    assert task.example(found, tokenizer, 30)["labels"].tolist() == labels


@pytest.mark.parametrize("change", [{"start": 3}, {"start": -1}, {"start": 99}, {"answer": "Zoe"},
                                    {"answer": ""}, {"answer": "Zoe", "start": 0}])
def test_answers_that_do_not_stand_there_are_refused(tokenizer, change):
    with pytest.raises(UserError, match="^f:5: "):
        ExtractiveAnswer().example({**QUESTION, **change}, tokenizer, 30)


def predicted(tokenizer, starts, ends, **fields):
    task = ExtractiveAnswer(**fields)
    row = task.inputs(QUESTION, tokenizer, 30)
    size = len(row["tokens"])
    span = np.zeros((2, size, 2))
    for side, values in enumerate((starts, ends)):
        for position, value in values.items():
            span[0, position % size, side] = value
    batch = {name: np.stack([row[name]] * 2) for name in ("tokens", "weights", "pooled")}
    batch["segments"] = np.stack([np.ones(size), np.zeros(size)])
    return task.predict({"span": span}, batch, tokenizer)


def test_the_best_span_in_order_is_predicted(tokenizer):
    # cls who sep | her e " is" " Bar" bar a " now" | sep
    assert predicted(tokenizer, {6: 5}, {8: 5}) == ["Barbara"]
    assert predicted(tokenizer, {6: 5}, {4: 6, 8: 5}) == ["Barbara"]  # 4 precedes 6
    assert predicted(tokenizer, {6: 5, 1: 99}, {8: 5, 2: 99, -1: 99}) == ["Barbara"]
    assert predicted(tokenizer, {3: 5, 6: 4}, {8: 5}, longest=3) == ["Barbara"]
    assert predicted(tokenizer, {3: 5, 6: 4}, {8: 5}) == ["here is Barbara"]


def test_no_answer_here(tokenizer):
    assert predicted(tokenizer, {0: 9, 6: 5}, {0: 9, 8: 5}) == [""]
    assert predicted(tokenizer, {0: 9}, {8: 12}) != [""]  # both ends must agree
    assert predicted(tokenizer, {-1: 9}, {-1: 9}, layout=Generative()) == [""]


def test_answers_are_scored_against_the_best():
    records = [{"answer": ["old Rome", "Rome"]}, {"answer": "Paris"}]
    assert ExtractiveAnswer().score(["the Rome", "in Paris"], records) == pytest.approx(
        {"exact": 0.5, "f1": (1 + 2 / 3) / 2})
