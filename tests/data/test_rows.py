import collections
import io

import numpy as np
import pytest

from transformer.data import order, packing, plan
from transformer.data.encode import encode
from transformer.data.rows import Chunks, Framed, Mixture, Packed, Padded
from transformer.data.source import Text
from transformer.error import UserError


class Numbers:
    """Texts are numbers, which are the ids."""

    size, fingerprint = 50_000, "numbers"
    special = {"pad": 7, "eos": 1}

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]


@pytest.fixture
def corpus(tmp_path):
    """corpus(lengths): documents of so many tokens, eos included, all other ids different."""
    def make(lengths, first=100):
        ids, documents = iter(range(first, 50_000)), []
        for length in lengths:
            documents.append(" ".join(str(next(ids)) for _ in range(length - 1)))
        path = tmp_path / "numbers.txt"
        path.write_text("\n".join(documents) + "\n")
        return encode(Text(path=str(path), documents="line"), Numbers(), tmp_path)
    return make


LENGTHS = [3, 9, 2, 25, 4, 4, 2, 13, 8, 31, 5, 2, 6]


def one_pass(rows):
    return [rows.example(row) for row in range(rows.count)]


def one_epoch(rows, seed, batch=4):
    return [rows.draw(number, batch, seed) for number in range(rows.count)]


def targets(row, crossing=False):
    """Ids that a row with one token of lookahead predicts."""
    tokens, segments = row["tokens"], row["segments"]
    return tokens[1:][(segments[1:] == segments[:-1]) & (segments[1:] > 0)].tolist()


def documents_of(corpus):
    return [corpus.tokens[a:b].tolist() for a, b in zip(*corpus.spans())]


def key(row):
    return tuple(row["tokens"])


# order

@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 10, 97, 100, 1024, 4097])
def test_a_permutation_has_every_number_once(count):
    found = [order.permute(count, n, order.key(3, count)) for n in range(count)]
    assert sorted(found) == list(range(count))
    assert np.array_equal(np.sort(order.shuffled(count, 5)), np.arange(count))


def test_permutations_are_even():
    """Each number comes to each place about equally often over the keys (chi-squared)."""
    count, keys = 6, 6000
    seen = np.zeros((count, count))
    for n in range(keys):
        for place in range(count):
            seen[place, order.permute(count, place, order.key(n))] += 1
    assert ((seen - keys / count) ** 2 / (keys / count)).sum() < 52.6  # 25 degrees, p = 0.001
    assert seen.sum() == count * keys


def test_keys_depend_on_each_number_and_their_order():
    numbers = ((1, 2), (2, 1), (1, 2, 0), (1,), (-1,), (0, 0), (0,))
    keys = [order.key(*some) for some in numbers]
    assert len(set(keys)) == len(keys)
    words = np.array([1, 2**63, 2**64 - 1], np.uint64)
    assert order.mix(words).tolist() == [order.mix(int(word)) for word in words]


# chunks

@pytest.mark.parametrize("crossing", [False, True])
@pytest.mark.parametrize("length", [1, 5, 16, 200])
def test_every_token_is_a_target_once(corpus, length, crossing):
    data = corpus(LENGTHS)
    rows = Chunks(length=length, cross_documents=crossing).build(data, lookahead=1)
    found = collections.Counter(t for row in one_pass(rows) for t in targets(row))
    whole = data.tokens[1:] if crossing else [t for d in documents_of(data) for t in d[1:]]
    assert found == collections.Counter(np.asarray(whole).tolist())
    drawn = collections.Counter(t for row in one_epoch(rows, 5) for t in targets(row))
    assert drawn == found
    assert all(row["tokens"].shape == (length + 1,) for row in one_pass(rows))


def test_chunks_without_lookahead_do_not_overlap(corpus):
    data = corpus(LENGTHS)
    rows = one_pass(Chunks(length=16).build(data))
    tokens = np.concatenate([row["tokens"][row["segments"] > 0] for row in rows])
    assert tokens.tolist() == data.tokens.tolist()


def test_segments_and_positions_follow_the_documents(corpus):
    data = corpus(LENGTHS)
    owner = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    for n, row in enumerate(one_pass(Chunks(length=16).build(data, lookahead=1))):
        inside = owner[n * 16:n * 16 + 17]
        segments = np.zeros(17, int)
        segments[:len(inside)] = inside - inside[0] + 1
        assert row["segments"].tolist() == segments.tolist()
        for number in range(1, segments.max() + 1):
            places = np.flatnonzero(segments == number)
            assert row["positions"][places].tolist() == list(range(len(places)))
        padding = segments == 0
        assert (row["tokens"][padding] == 7).all() and not row["positions"][padding].any()
        assert {v.dtype for v in row.values()} == {np.dtype(np.int32)}


def test_chunks_that_cross_documents_have_one_segment(corpus):
    rows = Chunks(length=16, cross_documents=True).build(corpus(LENGTHS), lookahead=1)
    row = rows.example(0)
    assert set(row) == {"tokens", "segments"} and (row["segments"] == 1).all()
    assert (rows.example(rows.count - 1)["segments"] == 0).any()


@pytest.mark.parametrize("make", [lambda c: c.view(10, 70), lambda c: c.view(3, 9)])
def test_rows_of_a_view_stay_inside_it(corpus, make):
    data = make(corpus(LENGTHS))
    inside = data.tokens[data.start:data.stop].tolist()
    for spec in (Chunks(length=8), Packed(length=8), Padded(length=40)):
        rows = one_pass(spec.build(data))
        tokens = np.concatenate([row["tokens"][row["segments"] > 0] for row in rows])
        assert sorted(tokens.tolist()) == sorted(inside), spec


def test_a_corpus_shorter_than_a_row_is_one_padded_row(corpus):
    rows = Chunks(length=100).build(corpus([5]), lookahead=1)
    assert rows.count == 1 and len(targets(rows.example(0))) == 4
    with pytest.raises(UserError, match="the corpus has 1 tokens, a row needs 2"):
        Chunks(length=4).build(corpus([5]).view(0, 1), lookahead=1)


def test_chunks_of_examples_are_refused():
    with pytest.raises(UserError, match="need Padded rows"):
        Chunks(length=4).build([{"tokens": [1, 2]}], 0, Numbers())


@pytest.mark.parametrize("kind", [Chunks, Packed, Padded])
def test_a_row_has_a_length(kind):
    with pytest.raises(UserError, match="length is 0, but it must be at least 1"):
        kind(length=0)


@pytest.mark.parametrize("kind", [Packed, Padded])
@pytest.mark.parametrize("length", [0, -3])
def test_a_row_has_a_source_length(kind, length):
    with pytest.raises(UserError, match=f"{kind.__name__}.source_length is {length}, but it must"):
        kind(length=8, source_length=length)


def test_a_row_has_room_behind_its_opening():
    with pytest.raises(UserError, match="Packed.length is 1, but an opening needs at least 2"):
        Packed(length=1, opening="cls")
    with pytest.raises(UserError, match="Framed.length is 2, but a frame needs at least 3"):
        Framed(length=2, closing="sep")


# epochs

SPECS = [Chunks(length=8), Chunks(length=8, cross_documents=True), Packed(length=8),
         Padded(length=31), Padded(length=31, buckets=(4, 8))]


@pytest.mark.parametrize("spec", SPECS[:4], ids=str)
def test_epochs_are_shuffled_anew(corpus, spec):
    rows = spec.build(corpus(LENGTHS))
    first = [key(row) for row in one_epoch(rows, seed=1)]
    assert first == [key(row) for row in one_epoch(rows, seed=1)]
    assert first != [key(row) for row in one_epoch(rows, seed=2)]
    assert first != [key(row) for row in one_pass(rows)]
    later = [key(rows.draw(rows.count + n, 4, 1)) for n in range(rows.count)]
    assert first != later
    if not isinstance(spec, Packed):
        assert sorted(first) == sorted(later) == sorted(key(row) for row in one_pass(rows))


def test_fingerprints_follow_data_spec_and_lookahead(corpus):
    data, other = corpus(LENGTHS), corpus(LENGTHS, first=101)
    found = [spec.build(data).fingerprint for spec in SPECS]
    found += [Chunks(length=9).build(data).fingerprint, Chunks(length=8).build(other).fingerprint,
              Chunks(length=8).build(data, 1).fingerprint,
              Chunks(length=8).build(data.view(1, 50)).fingerprint]
    assert len(set(found)) == len(found)
    assert Chunks(length=8).build(corpus(LENGTHS)).fingerprint == found[0]


# packing

def pieces_of(row):
    """The documents or pieces in a row, in order, with their positions checked."""
    found = []
    for number in range(1, row["segments"].max() + 1):
        places = np.flatnonzero(row["segments"] == number)
        assert np.array_equal(places, np.arange(places[0], places[0] + len(places)))
        assert row["positions"][places].tolist() == list(range(len(places)))
        found.append(row["tokens"][places].tolist())
    return found


def epochs_of(rows, seed, count=3):
    """The rows of some epochs of packed rows, cut where a document comes back."""
    found, seen, number = [[]], set(), 0
    while len(found) <= count:
        row = rows.draw(number, 4, seed)
        documents = {piece[0] for piece in pieces_of(row)}
        if documents & seen:
            found, seen = [*found, []], set()
        found[-1].append(row)
        seen |= documents
        number += 1
    return found[:count]


def test_every_epoch_packs_anew(corpus):
    """Epochs differ in what shares a row, and so in the number of their rows."""
    data = corpus([2 + n * 7 % 15 for n in range(60)])
    epochs = epochs_of(Packed(length=16).build(data), seed=2, count=6)
    for rows in epochs:
        pieces = [piece for row in rows for piece in pieces_of(row)]
        assert sorted(pieces) == sorted(documents_of(data))
    assert len({len(rows) for rows in epochs}) > 1
    rows_as_sets = [{frozenset(piece[0] for piece in pieces_of(row)) for row in rows}
                    for rows in epochs]
    assert len(rows_as_sets[0] & rows_as_sets[1]) < len(rows_as_sets[0]) / 2


@pytest.mark.parametrize("which", ["in order", "epoch 0", "epoch 1"])
def test_packing_covers_every_token_once(corpus, which):
    data = corpus(LENGTHS)
    rows = Packed(length=16).build(data)
    packed = one_pass(rows) if which == "in order" else epochs_of(rows, 9)[int(which[-1])]
    pieces = [piece for row in packed for piece in pieces_of(row)]
    expected = [d[n:n + 16] for d in documents_of(data) for n in range(0, len(d), 16)]
    assert sorted(pieces) == sorted(expected)
    for row in packed:
        assert row["tokens"].shape == (16,)
        assert (row["tokens"][row["segments"] == 0] == 7).all()


def test_packed_pieces_share_the_token_between_them(corpus):
    data = corpus(LENGTHS)
    rows = one_pass(Packed(length=10).build(data, lookahead=1))
    found = collections.Counter(t for row in rows for t in targets(row))
    assert found == collections.Counter(t for d in documents_of(data) for t in d[1:])
    assert all(row["tokens"].shape == (11,) for row in rows)


@pytest.mark.parametrize("opening", [None, "cls"])
@pytest.mark.parametrize("lookahead", [0, 1])
@pytest.mark.parametrize("length", [2, 3, 4, 8, 10, 30, 31, 40])
def test_cut_documents_lose_and_double_nothing(corpus, length, lookahead, opening):
    """Every token of a document is in one piece; with a lookahead it is predicted once."""
    data = corpus(LENGTHS)
    data.tokenizer.special = {**Numbers.special, "cls": 9}
    rows = one_pass(Packed(length=length, opening=opening).build(data, lookahead))
    first = 0 if opening else 1  # without an opening, nothing predicts the first token
    if lookahead:
        found = [t for row in rows for t in targets(row)]
        wanted = [t for d in documents_of(data) for t in d[first:]]
    else:
        found = [t for row in rows for t in row["tokens"][row["segments"] > 0] if t != 9]
        wanted = data.tokens
    assert collections.Counter(found) == collections.Counter(np.asarray(wanted).tolist())


@pytest.mark.parametrize(("opening", "closing", "around"), [
    ("cls", "sep", ([9], [8])), (None, "sep", ([], [8])), ("cls", "eos", ([9], [])),
    ("cls", None, ([9], []))])
@pytest.mark.parametrize("length", [4, 9])
def test_a_frame_stands_around_every_document(corpus, length, opening, closing, around):
    """Around every piece of a long one too; the corpus has put eos already."""
    data = corpus([3, 2, 13, 2])
    data.tokenizer.special = {**Numbers.special, "cls": 9, "sep": 8}
    before, behind = around
    room, wanted = length - len(before + behind), []
    for document in documents_of(data):
        for start in range(0, len(document), room):
            wanted.append([*before, *document[start:start + room], *behind])
    rows = one_pass(Framed(length=length, opening=opening, closing=closing).build(data))
    found = [row["tokens"][row["segments"] == n].tolist()
             for row in rows for n in range(1, row["segments"].max() + 1)]
    assert sorted(found) == sorted([np.array(part).tolist() for part in wanted])


def test_rows_with_an_opening_have_a_fingerprint_of_their_own(corpus):
    """Pieces of documents were once cut with an overlap there: such plans and runs are others."""
    from transformer.data.fingerprint import digest
    from transformer.spec import to_json
    data, spec = corpus(LENGTHS), Packed(length=8, opening="cls")
    data.tokenizer.special = {**Numbers.special, "cls": 9}
    assert spec.build(data, 1).fingerprint != digest([to_json(spec), data.fingerprint, 1])
    spec = Packed(length=8)
    assert spec.build(data, 1).fingerprint == digest([to_json(spec), data.fingerprint, 1])


@pytest.mark.parametrize("measures", [1, 2])
def test_no_packed_row_overflows_and_rows_are_full(measures):
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 101, (10_000, measures))
    capacity = np.array([100, 120][:measures])
    rows = plan.best_fit(sizes, capacity)
    assert sorted(set(rows)) == list(range(rows.max() + 1))
    for measure in range(measures):
        filled = np.bincount(rows, weights=sizes[:, measure])
        assert filled.max() <= capacity[measure]
    if measures == 1:
        assert sizes.sum() / (100 * (rows.max() + 1)) > 0.97


def test_packing_takes_the_fullest_row_that_has_room():
    sizes = np.array([[5], [7], [4], [3], [3], [2], [8]])
    assert plan.best_fit(sizes, np.array([10])).tolist() == [0, 1, 0, 1, 2, 2, 3]


def test_a_lane_closes_its_fullest_row(monkeypatch):
    monkeypatch.setattr(plan, "OPEN", 2)
    sizes = np.array([[9], [6], [5], [4], [1]])  # 9 is closed, so 1 cannot join it
    assert plan.best_fit(sizes, np.array([10])).tolist() == [0, 1, 2, 1, 2]


def test_plans_are_kept_and_a_broken_one_is_made_again(corpus, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 0)
    data, spec = corpus(LENGTHS), Packed(length=16)
    first = [key(row) for row in one_epoch(spec.build(data), seed=3)]
    files = sorted((data.directory / "plans").iterdir())
    assert len(files) == 2  # in order, and of the first epoch
    with monkeypatch.context() as patch:
        patch.setattr(packing, "best_fit", None)  # everything comes from the files
        assert [key(row) for row in one_epoch(spec.build(data), seed=3)] == first
    shorter = io.BytesIO()
    np.save(shorter, np.load(files[0])[:-1])
    for damage in (b"", b"\x93NUMPY", files[0].read_bytes()[:-8], shorter.getvalue()):
        for file in files:
            file.write_bytes(damage)
        assert [key(row) for row in one_epoch(spec.build(data), seed=3)] == first
    for file in files:
        file.unlink()
    (data.directory / "plans").rmdir()
    (data.directory / "plans").write_text("in the way")
    assert [key(row) for row in one_epoch(spec.build(data), seed=3)] == first


def pairs(count=40):
    draw, out = np.random.default_rng(1), []
    for n in range(count):
        t, s = draw.integers(1, 9, 2)
        out.append({"tokens": np.arange(t) + 1000 * n + 100, "types": np.full(t, n % 2),
                    "source_tokens": np.arange(s) + 1000 * n + 500})
    return out


def test_packed_pairs_stay_together():
    examples = pairs()
    rows = Packed(length=16, source_length=20).build(examples, 0, Numbers())
    found = []
    for row in one_pass(rows):
        assert row["tokens"].shape == (16,) and row["source_tokens"].shape == (20,)
        for number, tokens in enumerate(pieces_of(row), 1):
            inside = row["source_segments"] == number
            source = row["source_tokens"][inside].tolist()
            assert row["source_positions"][inside].tolist() == list(range(len(source)))
            assert (row["types"][row["segments"] == number] == tokens[0] // 1000 % 2).all()
            found.append((tokens, source))
        assert row["segments"].max() == row["source_segments"].max()
    expected = [(e["tokens"].tolist(), e["source_tokens"].tolist()) for e in examples]
    assert sorted(found) == sorted(expected)
    assert rows.count < len(examples) / 2


def test_what_cannot_share_a_row_is_refused():
    with pytest.raises(UserError, match="examples with labels cannot share a row"):
        Packed(length=8).build([{"tokens": [1, 2], "labels": 0}], 0, Numbers())
    with pytest.raises(UserError, match=r"a.tsv:2 \(example 1\) has 9 tokens on one side"):
        Packed(length=8).build([{"tokens": [1], "where": "a.tsv:1"},
                                {"tokens": [1] * 9, "where": "a.tsv:2"}], 0, Numbers())


# padding

def test_padded_rows_are_documents(corpus):
    data = corpus(LENGTHS)
    rows = Padded(length=31).build(data)
    for row, document in zip(one_pass(rows), documents_of(data), strict=True):
        inside = len(document)
        assert row["tokens"].tolist() == document + [7] * (31 - inside)
        assert row["segments"].tolist() == [1] * inside + [0] * (31 - inside)


@pytest.mark.parametrize("too_long, lengths", [
    ("truncate", [3, 8, 2, 8]), ("skip", [3, 2]), (None, [3, 8, 2, 8])])
def test_long_documents(corpus, too_long, lengths, capsys):
    rows = Padded(length=8, too_long=too_long).build(corpus([3, 9, 2, 25]))
    assert [int((row["segments"] > 0).sum()) for row in one_pass(rows)] == lengths
    assert ("skipped 2 of 4" in capsys.readouterr().err) == (too_long == "skip")


def test_long_examples_are_refused_by_their_place(corpus):
    examples = [{"tokens": [1] * 8, "where": "a.jsonl:1"},
                {"tokens": [1] * 11, "where": "a.jsonl:2"}]
    with pytest.raises(UserError, match=r"a.jsonl:2 \(example 1\) has 3 tokens more .* \(8\)"):
        Padded(length=8).build(examples, 0, Numbers())
    assert Padded(length=8).build(examples, 3, Numbers()).count == 2
    with pytest.raises(UserError, match="document 1 has 1 tokens more"):
        Padded(length=8, too_long="refuse").build(corpus([3, 9]))
    source = [{"tokens": [1], "source_tokens": [1] * 5}]
    with pytest.raises(UserError, match=r"example 0\) has 1 source tokens more .* \(4\)"):
        Padded(length=8, source_length=4).build(source, 0, Numbers())


def test_truncation_never_leaves_the_pooled_position_behind():
    rows = Padded(length=8, too_long="truncate").build(
        [{"tokens": [1] * 9, "pooled": 8}], 0, Numbers())
    with pytest.raises(UserError, match="position in `pooled` was truncated away"):
        rows.example(0)


def test_names_with_an_entry_per_token_are_padded_along():
    examples = [
        {"tokens": [5, 6, 8], "types": [0, 1, 1], "labels": [2, 0, 1], "weights": [1.0, 0.5, 1],
         "pooled": 2, "score": 0.25, "spans": [[0, 2]], "source_tokens": [9, 9],
         "source_types": [3, 4]},
        {"tokens": [5, 6], "types": [0, 1], "labels": [2, 2], "weights": [1.0, 1], "pooled": 1,
         "score": 4.0, "spans": [[0, 1], [1, 2]], "source_tokens": [4], "source_types": [5]}]
    row = Padded(length=5, source_length=3).build(examples, 0, Numbers()).example(0)
    assert {name: value.tolist() for name, value in row.items()} == {
        "tokens": [5, 6, 8, 7, 7], "segments": [1, 1, 1, 0, 0], "types": [0, 1, 1, 0, 0],
        "labels": [2, 0, 1, 0, 0], "weights": [1.0, 0.5, 1.0, 0.0, 0.0], "pooled": 2, "score": 0.25,
        "spans": [[0, 2], [0, 0]], "source_tokens": [9, 9, 7], "source_segments": [1, 1, 0],
        "source_types": [3, 4, 0]}
    assert row["weights"].dtype == row["score"].dtype == np.float32
    assert row["tokens"].dtype == row["labels"].dtype == np.int32


def test_answers_of_two_numbers_are_not_tags():
    examples = [{"tokens": [1, 2], "labels": [0, 1]}, {"tokens": [1, 2, 3], "labels": [1, 2]}]
    rows = Padded(length=4).build(examples, 0, Numbers())
    assert rows.example(0)["labels"].tolist() == [0, 1]


def test_spans_of_short_examples_stay_pairs():
    examples = [{"tokens": [1, 2], "spans": [[0, 2]]}, {"tokens": [3, 4], "spans": [[1, 2]]}]
    row = Padded(length=4).build(examples, 0, Numbers()).example(1)
    assert row["spans"].tolist() == [[1, 2]]


def test_choices_keep_their_own_segments():
    example = {"tokens": [[1, 2, 3], [4, 5, 7]], "segments": [[1, 1, 1], [1, 1, 0]],
               "pooled": [2, 1], "labels": 1}
    row = Padded(length=4).build([example], 0, Numbers()).example(0)
    assert row["tokens"].tolist() == [[1, 2, 3, 7], [4, 5, 7, 7]]
    assert row["segments"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]
    assert row["pooled"].tolist() == [2, 1] and row["labels"] == 1


@pytest.mark.parametrize("odd, message", [
    ({"tokens": [1]}, "differ in having labels"),
    ({"tokens": [1], "labels": [1, 2, 3]}, r"labels has shape \(3,\), but elsewhere \(\)")])
def test_examples_unlike_the_others_are_refused(odd, message):
    examples = [{"tokens": [1], "labels": 0}, {**odd, "where": "b.csv:7"}]
    with pytest.raises(UserError, match=message) as error:
        Padded(length=4).build(examples, 0, Numbers())
    assert "b.csv:7 (example 1)" in str(error.value)


def test_no_examples_are_refused():
    with pytest.raises(UserError, match="no example"):
        Padded(length=4).build([], 0, Numbers())


@pytest.mark.parametrize("buckets", [(8, 4), (4, 4), (0,), (40,)])
def test_impossible_buckets_are_refused(buckets):
    with pytest.raises(UserError, match="buckets are"):
        Padded(length=31, buckets=buckets)


@pytest.mark.parametrize("batch", [1, 3, 4, 20])
def test_buckets_give_batches_of_one_width_and_every_row(corpus, batch):
    lengths = [2 + n * 7 % 29 for n in range(33)]
    rows = Padded(length=31, buckets=(4, 8, 16)).build(corpus(lengths))
    widths, drawn = set(), collections.Counter()
    epochs = 8 * batch
    for step in range(epochs * rows.count // batch):
        wide = [rows.draw(step * batch + n, batch, 5) for n in range(batch)]
        assert len({row["tokens"].shape for row in wide}) == 1
        widths.add(len(wide[0]["tokens"]))
        for row in wide:
            inside = int((row["segments"] > 0).sum())
            fitting = min(width for width in (4, 8, 16, 31) if width >= inside)
            assert len(row["tokens"]) == fitting
            drawn[tuple(row["tokens"][:inside])] += 1
    assert widths == {4, 8, 16, 31}
    assert len(drawn) == rows.count and set(drawn.values()) == {epochs}


def test_the_batches_of_an_epoch_mix_the_buckets(corpus):
    rows = Padded(length=31, buckets=(8,)).build(corpus([4] * 40 + [20] * 40))
    widths = [len(rows.draw(step * 4, 4, 0)["tokens"]) for step in range(20)]
    assert widths.count(8) == widths.count(31) == 10
    assert sum(a != b for a, b in zip(widths, widths[1:])) > 4


def test_the_batches_of_a_bucket_are_others_in_each_epoch(corpus):
    rows = Padded(length=31, buckets=(8,)).build(corpus([4] * 12 + [20] * 4))
    batches = [[rows.draw(step * 3 + n, 3, 0)["tokens"] for n in range(3)] for step in range(32)]
    narrow = [frozenset(int(row[0]) for row in batch) for batch in batches if len(batch[0]) == 8]
    epochs = [set(narrow[n:n + 4]) for n in range(0, 16, 4)]
    assert all(len(set().union(*epoch)) == 12 for epoch in epochs)
    assert len(set(map(frozenset, epochs))) == 4


def test_buckets_scale_the_source_side_alike():
    examples = [{"tokens": [1] * t, "source_tokens": [1] * s} for t, s in ((4, 3), (4, 9), (10, 2))]
    rows = Padded(length=16, buckets=(4, 8), source_length=32).build(examples, 0, Numbers())
    shapes = [(len(r["tokens"]), len(r["source_tokens"])) for r in one_pass(rows)]
    assert shapes == [(4, 8), (8, 16), (16, 32)]
    assert [rows.width(n) for n in range(3)] == [4, 8, 16]
    assert len(rows.example(0, width=8)["source_tokens"]) == 16


# mixtures

def mixed(corpus, weights, length=8):
    parts = [corpus(LENGTHS, first) for first in (100, 20_000, 40_000)[:len(weights)]]
    spec = Mixture(parts=tuple(Chunks(length=length) for _ in parts), weights=weights)
    return spec.build(parts), parts


def test_a_mixture_has_its_proportions_everywhere(corpus):
    rows, _ = mixed(corpus, (6, 3, 1))
    firsts = [max(rows.draw(n, 4, 0)["tokens"]) // 20_000 for n in range(600)]
    for start in range(0, 600, 100):
        counts = collections.Counter(firsts[start:start + 100])
        assert abs(counts[0] - 60) <= 1 and abs(counts[1] - 30) <= 1 and abs(counts[2] - 10) <= 1


def test_each_part_of_a_mixture_is_drawn_epoch_by_epoch(corpus, monkeypatch):
    from transformer.data import mixture
    monkeypatch.setattr(mixture, "PERIOD", 10)
    rows, parts = mixed(corpus, (0.7, 0.3))
    alone = Chunks(length=8).build(parts[1])
    expected = sorted(key(row) for row in one_pass(alone))
    drawn = [key(rows.draw(n, 4, 0)) for n in range(12 * rows.count)]
    second = [row for row in drawn if max(row) >= 20_000]
    for start in range(0, len(second) - alone.count, alone.count):
        assert sorted(second[start:start + alone.count]) == expected


def test_a_pass_over_a_mixture_is_one_part_after_the_other(corpus):
    rows, parts = mixed(corpus, (1.0, 1.0))
    expected = [key(row) for part in parts for row in one_pass(Chunks(length=8).build(part))]
    assert [key(row) for row in one_pass(rows)] == expected


def test_odd_mixtures_are_refused(corpus):
    part = Chunks(length=8)
    for fields, message in (
            (dict(parts=(part,), weights=(1.0, 2.0)), "1 parts and 2 weights"),
            (dict(parts=(part, part), weights=(1.0, 0.0)), "no share may be below"),
            (dict(parts=(part, part), weights=(0.0, 0.0)), "no share may be below"),
            (dict(parts=(part, part), weights=(-1.0, -1.0)), "no share may be below"),
            (dict(parts=(part, part), weights=(1.0, float("nan"))), "no share may be below"),
            (dict(parts=(part, part), weights=(float("inf"),) * 2), "no share may be below"),
            (dict(parts=(part, Chunks(length=9)), weights=(1.0, 1.0)), "one common length"),
            (dict(parts=(Padded(length=8, buckets=(4,)), part), weights=(1.0, 1.0)), "no buckets")):
        with pytest.raises(UserError, match=message):
            Mixture(**fields)
    data = corpus(LENGTHS)
    unlike = Mixture(parts=(part, Chunks(length=8, cross_documents=True)), weights=(1.0, 1.0))
    with pytest.raises(UserError, match="unlike rows"):
        unlike.build([data, data])
    with pytest.raises(UserError, match="2 parts, but there are 1 data sets"):
        unlike.build([data])


def test_an_opening_begins_every_document_and_every_piece_of_a_long_one(corpus):
    data, cls = corpus([3, 2, 13, 2]), 9
    data.tokenizer.special["cls"] = cls
    for spec in (Packed(length=8, opening="cls"), Padded(length=8, opening="cls")):
        rows, found = spec.build(data), 0
        for n in range(rows.count):
            row = rows.example(n)
            new = np.flatnonzero((np.diff(row["segments"], prepend=0) != 0) & (row["segments"] > 0))
            assert (row["tokens"][new] == cls).all() and (row["tokens"] == cls).sum() == len(new)
            found += len(new)
        assert found >= 4
    del data.tokenizer.special["cls"]
    with pytest.raises(UserError, match="no special piece 'cls'"):
        Packed(length=8, opening="cls").build(data)
