"""Entities of tag sequences and answers cut out of passages."""

import pytest

from transformer.tasks.spans import entities, entity_f1, exact_match, normalised, word_f1


@pytest.mark.parametrize("tags, found", [
    ("B-P I-P O B-L", {(0, 2, "P"), (3, 4, "L")}),
    ("B-P B-P I-P", {(0, 1, "P"), (1, 3, "P")}),
    ("I-P I-P O I-P", {(0, 2, "P"), (3, 4, "P")}),
    ("B-P I-L", {(0, 1, "P"), (1, 2, "L")}),
    ("I-P B-P", {(0, 1, "P"), (1, 2, "P")}),
    ("RIVER RIVER O TOWN", {(0, 2, "RIVER"), (3, 4, "TOWN")}),
    ("O O", set()),
    ("", set()),
])
def test_entities(tags, found):
    assert entities(tags.split()) == found


def test_entity_f1_wants_both_ends_and_the_kind():
    truth = ["B-P I-P O B-L".split(), "O B-P".split()]
    guess = ["B-P O O B-L".split(), "B-P B-L".split()]
    assert entity_f1(guess, truth) == pytest.approx(2 * 1 / (4 + 3))
    assert entity_f1(truth, truth) == 1
    assert entity_f1([["O"]], [["O"]]) == 0


def test_normalised_answers():
    assert normalised("  The U.S.A., an  Answer-key! ") == ["usa", "answerkey"]
    assert normalised("Theatre and another") == ["theatre", "and", "another"]


def test_exact_match_takes_any_answer():
    assert exact_match("the Eiffel tower.", ["Paris", "Eiffel Tower"]) == 1
    assert exact_match("Eiffel", ["Eiffel Tower"]) == 0


def test_word_f1_by_hand():
    found = word_f1("in the old town of Rome", ["old Rome", "Rome"])
    assert found == pytest.approx(2 * 2 / (5 + 2))
    assert word_f1("Rome Rome", ["Rome"]) == pytest.approx(2 / 3)
    assert word_f1("", [""]) == 1 and word_f1("the", [""]) == 1 and word_f1("", ["x"]) == 0
