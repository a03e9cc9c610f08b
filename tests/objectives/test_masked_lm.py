"""Masking: how much, what, in which units, and that only masked positions are predicted."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams, Row, SingleTokens, WholeWords, WordSpans

MASK = 4


def example(length, size, rng, starts=None):
    """[cls] pieces [sep] padding."""
    tokens = np.zeros(size, np.int32)
    tokens[:length] = rng.integers(10, 32, length) if starts is None else 11
    if starts is not None:
        tokens[starts] = 10
    tokens[0], tokens[length - 1] = 5, 6
    return {"tokens": tokens, "segments": (np.arange(size) < length).astype(np.int32)}


def many(objective, tokenizer, rows=400, size=100):
    """(original, prepared) of rows full of text."""
    for n in range(rows):
        original = example(size, size, np.random.default_rng([9, n]))
        yield original, objective.prepare(original, np.random.default_rng([1, n]), tokenizer)


def test_80_10_10(tokenizer):
    masked, changed, same, slots = 0, 0, 0, 0
    for original, row in many(MaskedLM(), tokenizer, rows=1000):
        now, before = row["tokens"][row["masked"]], row["targets"]
        masked += (now == MASK).sum()
        same += (now == before).sum()
        changed += ((now != MASK) & (now != before)).sum()
        slots += len(now)
    assert slots == 15_000
    for count, share in ((masked, 0.8), (same, 0.1 + 0.1 / 22), (changed, 0.1 * 21 / 22)):
        assert abs(count - share * slots) < 4 * np.sqrt(share * (1 - share) * slots)


def test_random_pieces_are_all_the_ordinary_ones_evenly(tokenizer):
    objective = MaskedLM(replace=(0.0, 1.0, 0.0))
    drawn = np.concatenate([row["tokens"][row["masked"]] for _, row in many(objective, tokenizer)])
    counts = np.bincount(drawn, minlength=32)
    assert (counts[:10] == 0).all()
    expected = len(drawn) / 22
    assert (np.abs(counts[10:] - expected) < 5 * np.sqrt(expected)).all()


UNITS = (SingleTokens(), WholeWords(), NGrams(), WordSpans())


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_only_slots_change_and_special_pieces_never_do(tokenizer, unit):
    for original, row in many(MaskedLM(unit=unit), tokenizer, rows=60):
        used = row["weights"] > 0
        positions = row["masked"][used]
        assert (np.diff(positions) > 0).all()
        assert (original["tokens"][positions] >= 10).all()
        np.testing.assert_array_equal(row["targets"][used], original["tokens"][positions])
        others = np.setdiff1d(np.arange(100), positions)
        np.testing.assert_array_equal(row["tokens"][others], original["tokens"][others])
        assert (row["masked"][~used] == 0).all() and (row["targets"][~used] == 0).all()


@pytest.mark.parametrize("length, used", [(100, 15), (50, 8), (30, 4), (10, 2), (9, 1), (3, 1)])
def test_slots_follow_the_row_and_their_use_the_text(tokenizer, length, used):
    """50 * 0.15 = 7.5 goes to 8, the even one, and 30 * 0.15 = 4.5 to 4: Python's round."""
    rng = np.random.default_rng(0)
    row = MaskedLM().prepare(example(length, 100, rng), rng, tokenizer)
    assert row["masked"].shape == row["targets"].shape == row["weights"].shape == (15,)
    assert row["weights"].sum() == used


def test_a_row_of_special_pieces_makes_no_prediction(tokenizer):
    for unit in UNITS:
        rng = np.random.default_rng(0)
        row = MaskedLM(unit=unit).prepare(example(2, 20, rng), rng, tokenizer)
        assert row["weights"].sum() == 0
        np.testing.assert_array_equal(row["tokens"][:2], [5, 6])


def row_of(starts, size=60):
    """A Row of one document without special pieces; words begin at `starts`."""
    tokens = np.full(size, 11)
    tokens[starts] = 10
    is_start = np.arange(32) % 2 == 0
    return Row(tokens, np.ones(size, np.int32), np.ones(size, bool), is_start)


def test_words_are_masked_whole():
    row = row_of(np.arange(0, 60, 3))
    for seed in range(50):
        positions, groups = WholeWords().pick(row, 10, np.random.default_rng(seed))
        assert len(positions) == 9 and len(set(groups)) == 9  # three words; a fourth does not fit
        np.testing.assert_array_equal(np.diff(positions.reshape(3, 3)), 1)
        assert (positions[::3] % 3 == 0).all()


def test_words_longer_than_the_quota_stay():
    positions, _ = WholeWords().pick(row_of([0]), 10, np.random.default_rng(0))
    assert len(positions) == 0


def test_words_end_with_special_pieces_and_documents():
    row = row_of([0], size=8)
    row.segments[5:] = 2
    row.allowed[2] = False
    assert [word.tolist() for word in row.words()] == [[0, 1], [3, 4], [5, 6, 7]]


def test_span_lengths_are_a_cut_geometric():
    lengths = WordSpans().lengths()
    np.testing.assert_allclose(lengths[1:] / lengths[:-1], 0.8)
    assert len(lengths) == 10 and abs(lengths @ np.arange(1, 11) - 3.8) < 0.01


def test_spans_have_those_lengths_and_are_replaced_as_one():
    row, found = row_of(np.arange(0, 20_000, 2), size=20_000), []
    for seed in range(40):  # few spans in a long row: they hardly ever touch
        positions, groups = WordSpans().pick(row, 80, np.random.default_rng(seed))
        assert len(positions) == 80
        spans = [positions[groups == g] for g in dict.fromkeys(groups)]
        for span in spans:
            assert span[0] % 2 == 0 and np.ptp(span) + 1 == len(span)
        found += [len(span) / 2 for span in spans]
    # the last span of a row is cut by the quota, so it is shorter by some words
    assert abs(np.mean(found) - 3.8) < 0.4
    assert (np.array(found) <= 10).mean() > 0.99 and 10 in found


def test_spans_that_touch_are_one():
    row = row_of(np.arange(0, 60, 2))
    for seed in range(100):
        positions, groups = WordSpans().pick(row, 30, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.diff(positions) > 1, np.diff(groups) == 1)


@pytest.mark.parametrize("longest", [1, 3])
def test_ngrams_have_lengths_like_one_over_n(longest):
    row, counts = row_of(np.arange(0, 20_000, 2), size=20_000), np.zeros(longest)
    for seed in range(60):
        positions, groups = NGrams(longest=longest).pick(row, 200, np.random.default_rng(seed))
        assert len(positions) == 200 and len(set(groups)) == 200
        runs = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
        assert all(run[0] % 2 == 0 and len(run) % 2 == 0 for run in runs)
        # two runs that touch look like one; of 100 words in 10,000 few do
        counts += np.bincount([len(run) // 2 for run in runs], minlength=99)[1:longest + 1]
    expected = counts.sum() / np.arange(1, longest + 1) / (1 / np.arange(1, longest + 1)).sum()
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected) + 0.02 * expected.sum()).all()


def test_ngrams_shrink_to_the_quota_and_never_overlap():
    row = row_of(np.arange(0, 60, 2))
    for quota in (1, 2, 5, 6, 59, 60):
        for seed in range(20):
            positions, _ = NGrams().pick(row, quota, np.random.default_rng(seed))
            assert len(positions) == len(set(positions)) <= quota
            assert quota > 50 or len(positions) == quota // 2 * 2


def test_an_ngram_that_meets_another_is_passed_over():
    """Of A B C D the bigram BC may come first; then AB meets it, and A stays."""
    row = row_of([0, 2, 4, 6], size=8)
    found = {len(Bigrams().pick(row, 8, np.random.default_rng(seed))[0]) for seed in range(40)}
    assert found == {6, 8}


def test_masks_have_a_most(tokenizer):
    rng = np.random.default_rng(0)
    for most, length, used in ((20, 100, 15), (7, 100, 7), (7, 20, 3)):
        row = MaskedLM(most=most).prepare(example(length, 100, rng), rng, tokenizer)
        assert row["masked"].shape == (min(15, most),) and row["weights"].sum() == used


@pytest.mark.parametrize("unit, together", [(WordSpans(), True), (WholeWords(), False)], ids=str)
def test_a_span_is_replaced_as_one_and_words_are_not(tokenizer, unit, together):
    objective = MaskedLM(unit=unit, rate=0.04, replace=(0.5, 0.0, 0.5))  # 4 slots: one word
    kinds = []
    for seed in range(40):
        text = example(100, 100, np.random.default_rng(0), np.arange(2, 98, 4))
        row = objective.prepare(text, np.random.default_rng(seed), tokenizer)
        if np.ptp(row["masked"]) == 3:
            kinds.append(len(set(row["tokens"][row["masked"]] == MASK)))
    assert len(kinds) > 30 and (max(kinds) == 1) == together


def test_spans_stay_inside_a_document():
    row = row_of(np.arange(0, 40, 2), size=40)
    row.segments[20:] = 2
    row.allowed[10] = False
    for seed in range(200):
        positions, groups = WordSpans(p=0.05).pick(row, 12, np.random.default_rng(seed))
        for group in set(groups):
            span = positions[groups == group]
            for low, high in ((0, 10), (11, 20), (20, 40)):
                if low <= span[0] < high:
                    assert span[-1] < high


class Bigrams(NGrams):
    """Always two words where there are two."""

    def lengths(self):
        return np.array([0.0, 1.0])


@pytest.mark.parametrize("gap", ["piece", "document"])
def test_ngrams_stay_inside_a_document(gap):
    """Of the words A | B C two are taken: A and C in the orders ACB and CAB, with C after A only
    because no bigram leads from A over the gap to B."""
    row = row_of([0, 3, 5], size=7)
    row.allowed[2] = False
    if gap == "document":
        row = row_of([0, 2, 4], size=6)
        row.segments[2:] = 2
    ends = 0
    for seed in range(600):
        positions, _ = Bigrams().pick(row, 4, np.random.default_rng(seed))
        ends += len(positions) == 4 and positions[0] == 0 and positions[-1] == len(row.tokens) - 1
    assert abs(ends - 200) < 4 * np.sqrt(600 * 2 / 9)


def test_mistakes_are_named(tokenizer):
    with pytest.raises(UserError, match="rate is 0"):
        MaskedLM(rate=0.0)
    with pytest.raises(UserError, match="add up to 1"):
        MaskedLM(replace=(0.8, 0.1, 0.2))
    with pytest.raises(UserError, match="longest is 0"):
        WordSpans(longest=0)

    class NoMask:
        size, special = 32, {"pad": 0}
        word_starts = tokenizer.word_starts

    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="no special piece 'mask'"):
        MaskedLM().prepare(example(20, 20, rng), rng, NoMask())
