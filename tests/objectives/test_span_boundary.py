"""SpanBERT: whole spans, their neighbours, and a head that sees nothing else."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import erf, log_softmax

from transformer.error import UserError
from transformer.nn.boundary import Boundary
from transformer.objectives.masking import Row, WordSpans
from transformer.objectives.span_boundary import SpanBoundary
from transformer.zoo.bert import MASKED, bert

CLS, SEP, MASK = 5, 6, 4


class Fixed(WordSpans):
    """Masks these places."""

    places: tuple = ()

    def pick(self, row: Row, quota, rng):
        positions = np.array(self.places, np.int64)
        return positions, np.zeros(len(positions), np.int64)


def made(tokenizer, places, segments=None, longest=15):
    """Of cls, 11 ... 22, sep, padding: the arrays where slots are used."""
    tokens = np.array([CLS, *range(11, 23), SEP, 0, 0], np.int32)
    segments = (tokens > 0).astype(np.int32) if segments is None else np.array(segments)
    objective = SpanBoundary(unit=Fixed(places=places), longest=longest, rate=0.99)
    row = objective.prepare({"tokens": tokens, "segments": segments}, np.random.default_rng(0),
                            tokenizer)
    assert row["spans"].shape == (16, 2) and row["spans"].dtype == np.int32
    assert not row["spans"][len(places):].any()
    return row["spans"][:len(places)].tolist()


def test_neighbours_by_hand(tokenizer):
    assert made(tokenizer, (3, 4, 5, 8)) == [[2, 6]] * 3 + [[7, 9]]


def test_special_pieces_are_no_neighbours(tokenizer):
    """As in the authors' code, which cuts cls and sep off before it looks for neighbours."""
    assert made(tokenizer, (1, 2)) == [[0, 0]] * 2
    assert made(tokenizer, (2, 11)) == [[1, 3], [10, 12]]
    assert made(tokenizer, (12,)) == [[0, 0]]


def test_other_documents_are_no_neighbours(tokenizer):
    segments = [1] * 6 + [2] * 8 + [0] * 2
    assert made(tokenizer, (4, 5, 6, 9), segments) == [[0, 0]] * 3 + [[8, 10]]


def test_rows_without_special_pieces_end_with_a_span(tokenizer):
    """The first and the last token of a row have one neighbour only."""
    tokens = np.arange(11, 17, dtype=np.int32)
    objective = SpanBoundary(unit=Fixed(places=(0, 3, 5)), rate=0.5)
    row = objective.prepare({"tokens": tokens, "segments": np.ones(6, np.int32)},
                            np.random.default_rng(0), tokenizer)
    assert row["spans"].tolist() == [[0, 0], [2, 4], [0, 0]]


def test_only_the_first_tokens_of_a_long_span_are_scored(tokenizer):
    assert made(tokenizer, (3, 4, 5, 6), longest=3) == [[2, 7]] * 3 + [[0, 0]]


@pytest.mark.parametrize("length, used", [(100, 15), (101, 16), (3, 1), (1, 1), (0, 0)])
def test_the_share_is_rounded_up_and_special_pieces_do_not_count(tokenizer, length, used):
    tokens = np.array([CLS, *[12] * length, SEP], np.int32)
    row = SpanBoundary().prepare({"tokens": tokens, "segments": np.ones_like(tokens)},
                                 np.random.default_rng(0), tokenizer)
    assert row["weights"].sum() == used
    assert row["masked"].shape == (math.ceil(0.15 * (length + 2)),)


def neighbours(place, masked, last):
    """What a walk outwards from a masked place finds; 0, 0 where it is not to be scored."""
    left, right = place, place
    while left in masked:
        left -= 1
    while right in masked:
        right += 1
    return [left, right] if left > 0 and right < last and place - left <= 15 else [0, 0]


def test_fifteen_percent_of_a_million_tokens_and_neighbours_are_never_masked(tokenizer):
    rows, size, used = 500, 2002, 0
    for n in range(rows):
        draw = np.random.default_rng(n)
        tokens = np.array([CLS, *draw.integers(10, 32, size - 2), SEP], np.int32)
        row = SpanBoundary().prepare({"tokens": tokens, "segments": np.ones_like(tokens)}, draw,
                                     tokenizer)
        count = int(row["weights"].sum())
        places, used = set(row["masked"][:count].tolist()), used + count
        assert not places & set(row["spans"][row["spans"][:, 1] > 0].ravel().tolist())
        assert row["tokens"][0] == CLS and row["tokens"][-1] == SEP
        if n < 60:
            assert row["spans"][:count].tolist() == [
                neighbours(place, places, size - 1) for place in row["masked"][:count].tolist()]
    assert used == 0.15 * rows * (size - 2)


def test_the_two_losses(tokenizer):
    rng = np.random.default_rng(0)
    mlm, boundary = rng.normal(size=(2, 1, 3, 32)).astype(np.float32)
    batch = {"targets": np.array([[11, 12, 0]]), "weights": np.array([[1.0, 1, 0]], np.float32),
             "spans": np.array([[[1, 3], [0, 0], [0, 0]]])}
    objective = SpanBoundary(boundary=0.5)
    found = objective.loss(lambda *_: {"mlm": mlm, "boundary": boundary}, {}, batch, None, True)
    np.testing.assert_allclose(found["boundary"].sum, -log_softmax(boundary[0, 0])[11], rtol=1e-6)
    assert found["boundary"][1:] == (1, 0.5) and found["masked"].weight == 2
    assert objective.weights(batch)["boundary"] == 1


def test_the_head_reads_the_neighbours_and_the_place(build):
    """Against the formula: (linear, gelu, norm) twice on [left; right; place], the token table."""
    head = Boundary(width=6, longest=3)
    tiny = build(bert(width=8, depth=1, heads=2, vocab=64, length=12, dropout=0.0, pooler=False,
                      outputs=(MASKED, ("boundary", head))))
    masked, spans = np.array([[2, 3, 9, 6]] * 4), np.array([[[1, 4], [1, 4], [8, 10], [1, 11]]] * 4)
    out = tiny.forward(tiny.params, {**tiny.batch, "masked": masked, "spans": spans})
    p, hidden = tiny.params["heads_boundary"], np.asarray(out["hidden"], np.float64)
    places = [0, 1, 0, 2]  # the last one lies beyond the third place

    def layer(x, name):
        h = x @ p[name] + p[f"{name}_bias"]
        h = 0.5 * h * (1 + erf(h / np.sqrt(2)))
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-12)
        return h * p[f"{name}_norm"]["scale"] + p[f"{name}_norm"]["shift"]

    for n, (left, right) in enumerate(spans[0]):
        place = np.broadcast_to(p["positions"][places[n]], (4, 6))
        x = np.concatenate([hidden[:, left], hidden[:, right], place], -1)
        expected = layer(layer(x, "mix"), "transform") @ np.asarray(
            tiny.params["embedding"]["tokens"]).T + p["vocab_bias"]
        np.testing.assert_allclose(out["boundary"][:, n], expected, atol=2e-5)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="boundary is -1"):
        dataclasses.replace(SpanBoundary(), boundary=-1.0)
