"""BLEU and ROUGE on hand-worked texts."""

import math
import random

import pytest
import sacrebleu

from transformer.error import UserError
from transformer.tasks.bleu import bleu, words_13a
from transformer.tasks.rouge import common_subsequence, rouge
from transformer.tasks.translation import Translation


@pytest.mark.parametrize("text, words", [
    ("Hello, world!", "Hello , world !"),
    ("It cost 1,000.50 dollars.", "It cost 1,000.50 dollars ."),
    ("a well-known 3-4 (x) it's", "a well-known 3 - 4 ( x ) it's"),
    ("&quot;A&amp;B&quot; 5% of $3", '" A & B " 5 % of $ 3'),
    ("line one\nline-\ntwo", "line one linetwo"),
    ("1.a a.1 .5 5. ...", "1 . a a . 1 . 5 5 . . . ."),
    ("\u00fcber\u2014\u00e7a", "\u00fcber\u2014\u00e7a"),
])
def test_words_13a(text, words):
    assert words_13a(text) == words.split()


def test_bleu_of_equal_texts_is_100():
    assert bleu(["the cat sat on the mat"], [["the cat sat on the mat"]]) == pytest.approx(100)


def test_bleu_by_hand():
    """5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; no brevity penalty."""
    found = bleu(["the cat sat on the rug"], [["the cat lay sat on the mat".replace("lay ", "")]])
    assert found == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)
    found = bleu(["a cat sat on the mat"], [["the cat sat on a mat"]])
    assert found == pytest.approx(100 * (6 / 6 * 2 / 5 * 1 / 4 * 0.5 / 3) ** 0.25)


def test_short_texts_pay_for_brevity_over_the_corpus():
    texts, right = ["a b c d e", "a b c d e f g"], [["a b c d e f"], ["a b c d e f g h"]]
    assert bleu(texts, right) == pytest.approx(100 * math.exp(1 - 14 / 12))
    assert bleu(texts, [["a b c d"], ["a b c d e f g"]]) < 100  # too long costs precision only


def test_counts_are_clipped_and_references_joined():
    """Papineni 2002 §2.1: seven times `the` finds two."""
    one = bleu(["the the the the the the the"], [["the cat is on the mat"]])
    assert one == pytest.approx(100 * (2 / 7 * 0.5 / 6 * 0.25 / 5 * 0.125 / 4) ** 0.25)
    both = bleu(["a b c d e"], [["a b c d x", "x b c d e"]])
    assert both == pytest.approx(100)
    twice = bleu(["a a b c d e"], [["a b c d e x", "a b c d e x"]])  # `a` counts once, not twice
    assert twice == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_the_closest_length_counts_the_shorter_of_equals():
    assert bleu(["a b c d e"], [["a b c d e f", "a b c d"]]) == pytest.approx(100)
    assert bleu(["a b c d e"], [["a b c d e f g"]]) < 100


def test_bleu_of_nothing_is_0():
    assert bleu([""], [["a b c d"]]) == bleu(["x y z w"], [["a b c d"]]) == bleu([], []) == 0.0
    assert bleu(["a b c"], [["a b c"]]) == 0.0  # no four words anywhere


def test_rouge_by_hand():
    found = rouge(["The cat sat on the mat."], [["the cat was on a mat"]])
    assert found["rouge_1"] == pytest.approx(2 * 4 / (6 + 6))  # the cat on mat
    assert found["rouge_2"] == pytest.approx(2 * 1 / (5 + 5))  # the cat
    assert found["rouge_l"] == pytest.approx(2 * 4 / (6 + 6))
    assert rouge(["b a"], [["a b"]])["rouge_l"] == 0.5 != rouge(["b a"], [["a b"]])["rouge_1"]


def test_rouge_takes_the_best_reference_and_any_script():
    assert rouge(["b c"], [["x y", "b c"]])["rouge_2"] == 1
    assert rouge(["\uace0\uc591\uc774 \uac1c"], [["\uace0\uc591\uc774"]])["rouge_1"] == (
        pytest.approx(2 / 3))
    assert rouge([""], [["a"]]) == {"rouge_1": 0, "rouge_2": 0, "rouge_l": 0}


def test_common_subsequence():
    assert common_subsequence(list("abcbdab"), list("bdcaba")) == 4
    assert common_subsequence([], list("ab")) == 0


def test_bleu_agrees_with_sacrebleu():
    rng = random.Random(0)
    words = "the cat sat on a mat , dog ran fast . it's 3.5 well-known".split()
    for _ in range(100):
        sentences = [[rng.choice(words) for _ in range(rng.randint(1, 12))] for _ in range(4)]
        right = [[" ".join(sentence), " ".join(sentence[::-1])] for sentence in sentences]
        guess = [" ".join(w if rng.random() < 0.8 else rng.choice(words) for w in sentence)
                 for sentence in sentences]
        theirs = sacrebleu.corpus_bleu(guess, [list(side) for side in zip(*right)], force=True)
        assert bleu(guess, right) == pytest.approx(theirs.score, abs=1e-9)


def test_translation_is_also_judged_by_the_length_of_the_source():
    """Words are those that BLEU counts: the full stop is one."""
    records = [{"source": source, "target": target} for source, target in (
        ("a b.", "the cat sat on the mat"), ("a b c", "one two three four"),
        ("a b c d e f", "the dog ran to the house"), ("a b c d", "five six seven eight"))]
    guess = ["the cat sat on the rug", "one two three four", "the dog ran to a house",
             "five six seven eight"]
    told = Translation(by_length=(3, 4)).score(guess, records)
    right = [[record["target"]] for record in records]
    some = lambda *kept: pytest.approx(bleu([guess[n] for n in kept], [right[n] for n in kept]))
    assert told == {"bleu": some(0, 1, 2, 3), "exact": 0.5, "bleu_1_3": some(0, 1),
                    "sentences_1_3": 2, "bleu_4_4": some(3), "sentences_4_4": 1,
                    "bleu_5_up": some(2), "sentences_5_up": 1}
    assert told["bleu_1_3"] < told["bleu_4_4"] == pytest.approx(100)
    assert "bleu_7_9" not in Translation(by_length=(6, 9)).score(guess, records)
    for wrong in ((4, 3), (0, 3), (3, 3)):
        with pytest.raises(UserError, match="by_length is .* ascending"):
            Translation(by_length=wrong)
