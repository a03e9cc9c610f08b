"""Rows from texts: where the special pieces stand and what is cut."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.tasks.layout import Encoding, Ended, Generative, truncated


def arranged(layout, tokenizer, *texts, length=50):
    return layout.arrange(tokenizer.encode_batch(texts), tokenizer, length, "here:1")


def test_generative_rows_end_with_the_extract_token(tokenizer, shown):
    row, places = arranged(Generative(), tokenizer, "abcd ef")
    assert shown(row["tokens"]) == ["<start>", "abc", "d", " ef", "<extract>"]
    assert row["pooled"] == 4 and places == (slice(1, 4),)
    assert set(row) == {"tokens", "pooled"}
    row, places = arranged(Generative(), tokenizer, "ab", "cd ef")
    assert shown(row["tokens"]) == ["<start>", "ab", "<delimiter>", "cd", " ef", "<extract>"]
    assert row["pooled"] == 5 and places == (slice(1, 2), slice(3, 5))


def test_rows_without_pieces_for_tasks_end_with_eos(tokenizer, shown):
    row, places = arranged(Ended(), tokenizer, "ab", "cd ef")
    assert shown(row["tokens"]) == ["<bos>", "ab", "<eos>", "cd", " ef", "<eos>"]
    assert row["pooled"] == 5 and places == (slice(1, 2), slice(3, 5))


def test_encoded_rows_are_read_at_their_first_token(tokenizer, shown):
    row, places = arranged(Encoding(), tokenizer, "ab", "cd ef")
    assert shown(row["tokens"]) == ["<cls>", "ab", "<sep>", "cd", " ef", "<sep>"]
    assert row["types"].tolist() == [0, 0, 0, 1, 1, 1]
    assert row["pooled"] == 0 and places == (slice(1, 2), slice(3, 5))
    row, _ = arranged(Encoding(), tokenizer, "ab cd")
    assert shown(row["tokens"]) == ["<cls>", "ab", " cd", "<sep>"]
    assert row["types"].tolist() == [0, 0, 0, 0]
    assert all(array.dtype == np.int32 for array in row.values())


@pytest.mark.parametrize("sizes, room, kept", [
    ((5, 3), 8, (5, 3)), ((5, 3), 7, (4, 3)), ((5, 3), 6, (3, 3)), ((5, 3), 5, (3, 2)),
    ((5, 3), 4, (2, 2)), ((2, 9), 5, (2, 3)), ((9,), 4, (4,)), ((1, 1), 2, (1, 1))])
def test_the_longer_part_is_cut_first(sizes, room, kept):
    parts = [list(range(size)) for size in sizes]
    assert truncated(parts, room, "") == [list(range(size)) for size in kept]


def test_a_cut_row_is_exactly_full(tokenizer):
    for layout in (Generative(), Encoding()):
        row, places = arranged(layout, tokenizer, "ab " * 30, "cd " * 20, length=16)
        assert len(row["tokens"]) == 16
        assert [p.stop - p.start for p in places] == [7, 6]
        assert row["tokens"][-1] == tokenizer.special[layout.closing]
        single, _ = arranged(layout, tokenizer, "ab " * 30, length=16)
        assert len(single["tokens"]) == 16


def test_rows_without_room_are_refused(tokenizer):
    with pytest.raises(UserError, match="here:1: rows are too short for 2 texts"):
        arranged(Encoding(), tokenizer, "ab", "cd", length=4)


def test_a_tokenizer_without_the_pieces_is_refused(tokenizer):
    tokenizer.special = {"pad": 0, "cls": 1}
    with pytest.raises(UserError, match="no special piece 'sep'.*pad, cls"):
        arranged(Encoding(), tokenizer, "ab", "cd")
