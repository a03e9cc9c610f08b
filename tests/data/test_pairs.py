"""Pairs of sentences: against a walk through one document at a time, and that nothing is lost."""

import collections
import random

import numpy as np
import pytest

from transformer.data import layout, pairing
from transformer.data.encode import encode
from transformer.data.pieces import Pieces
from transformer.data.rows import Pairs
from transformer.data.sentences import sentences_of
from transformer.data.source import Text
from transformer.data.stream import Stream, batch_hash
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.objectives.next_sentence import NextSentence

BYTES = Bytes().train()
CLS, SEP, EOS = (BYTES.special[name] for name in ("cls", "sep", "eos"))


def made(path, texts, **how):
    """The corpus of documents, lists of sentences, one on each line."""
    (path / "text.txt").write_text("\n\n".join("\n".join(lines) for lines in texts))
    return encode(Text(path=str(path / "text.txt"), **how), BYTES, path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """40 documents of 1 to 9 sentences, all of them different."""
    draw = random.Random(0)
    documents = [[f"{d}:{s} " + "x" * draw.randint(0, 30) for s in range(1 + d * 7 % 9)]
                 for d in range(40)]
    return made(tmp_path_factory.mktemp("pairs"), documents)


def texts(corpus, pairs):
    """(text of A, text of B, label) of planned pairs."""
    read = lambda a, b: BYTES.decode(corpus.read(a, b))
    return [(read(a, b), read(c, d), label) for a, b, c, d, label in pairs.tolist()]


def sentences(corpus):
    """The sentences of each document, lines with their ends."""
    return [BYTES.decode(corpus.read(a, b)).splitlines(keepends=True)
            for a, b in zip(*corpus.spans())]


@pytest.mark.parametrize("text, parts", [
    ("One. Two? Three!", ["One.", " Two?", " Three!"]),
    ("No end", ["No end"]),
    ("Pi is 3.14. Yes...", ["Pi is 3.14.", " Yes..."]),
    ('He said "no." (She did.) Then', ['He said "no."', " (She did.)", " Then"]),
    ("I (say 'no.') Then", ["I (say 'no.')", " Then"]),
    ("a line\nanother\n\nthird", ["a line\n", "another\n\n", "third"]),
    ("One.\nTwo.", ["One.\n", "Two."]),
    ("e.g.x.y", ["e.g.x.y"]),
])
@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_where_sentences_end(text, parts, kind, pieces):
    tokenizer = {"bytes": BYTES, "pieces": pieces}[kind]
    tokens = np.array(tokenizer.encode(text))
    found = np.split(tokens, sentences_of(tokenizer).ends(tokens)[:-1])
    assert [tokenizer.decode(part) for part in found] == parts


@pytest.fixture(scope="module")
def pieces():
    prose = "One two three said she did then yes no a line another third. He is? (Pi) \"x\"! 3.14\n"
    return Pieces(vocab=330).train([prose * 40])


def test_the_layout_knows_every_sentence(corpus):
    found, wanted = layout.Layout(corpus), sentences(corpus)
    assert len(found) == 40 and np.diff(found.first).tolist() == [len(s) for s in wanted]
    documents = np.repeat(np.arange(40), np.diff(found.first))
    begins = found.begin(documents, np.arange(len(found.ends)))
    assert [BYTES.decode(corpus.read(a, b)) for a, b in zip(begins, found.ends)] == sum(wanted, [])
    assert not np.isin(corpus.tokens[found.ends - 1], [EOS]).any()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_layout_does_not_depend_on_its_blocks(corpus, block, monkeypatch):
    whole = layout.sentence_ends(corpus)
    monkeypatch.setattr(layout, "BLOCK", block)
    monkeypatch.setattr(layout, "MARGIN", 3)
    np.testing.assert_array_equal(layout.sentence_ends(corpus), whole)


def test_a_view_has_the_pieces_of_cut_documents(corpus):
    view = corpus.view(30, len(corpus) - 15)
    found = layout.Layout(view)
    whole = layout.sentence_ends(corpus)
    assert found.ends[-1] == view.stop and found.begin(np.array([0]), np.array([0])) == 30
    inside = whole[(whole > 30) & (whole < view.stop)]
    np.testing.assert_array_equal(found.ends[:-1], inside)


def walk(documents, room, short, swap, draw):
    """BERT's way through each document: (sentences of A, tokens of A and B, label, is it alone)."""
    for own, lines in enumerate(documents):
        target = draw.randint(2, room) if draw.random() < short else room
        chunk, at = [], 0
        while at < len(lines):
            chunk.append(len(lines[at]))
            if at == len(lines) - 1 or sum(chunk) >= target:
                split = draw.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
                coin, second, label = draw.random() < 0.5, sum(chunk[split:]), 0
                if len(chunk) == 1 or (coin and not swap):
                    other = draw.choice([d for d in range(len(documents)) if d != own])
                    start, second, label = draw.randrange(len(documents[other])), 0, 1
                    for line in documents[other][start:]:
                        second += len(line)
                        if second >= target - sum(chunk[:split]):
                            break
                    at -= len(chunk) - split
                elif coin:
                    label = 1
                yield split, sum(chunk[:split]), second, label, len(chunk) == 1
                chunk = []
            at += 1


def keep_all(monkeypatch):
    monkeypatch.setattr(pairing, "_truncated", lambda one, two, room, rng: [one, two])


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("room, short", [(60, 0.0), (60, 0.5), (200, 0.1)])
def test_pairs_are_drawn_like_berts(corpus, room, short, swap, monkeypatch):
    """Means of what a pair is, over 100 epochs of each; 4 standard errors."""
    keep_all(monkeypatch)
    place, documents, draw = layout.Layout(corpus), sentences(corpus), random.Random(1)
    theirs = [list(walk(documents, room, short, swap, draw)) for _ in range(100)]
    ours = [pairing.plan(place, room, short, swap, np.random.default_rng(n)) for n in range(100)]
    measures = {
        "pairs": (len, len),
        "label 1": (lambda t: t[:, 4].mean(), lambda t: np.mean([p[3] for p in t])),
        "tokens of both": (lambda t: (t[:, 1] - t[:, 0] + t[:, 3] - t[:, 2]).mean(),
                           lambda t: np.mean([p[1] + p[2] for p in t])),
        "squared tokens of A with label 0": (
            lambda t: ((t[:, 1] - t[:, 0]) ** 2 * (t[:, 4] == 0)).mean(),
            lambda t: np.mean([p[1] ** 2 * (p[3] == 0) for p in t])),
    }
    for name, (of_ours, of_theirs) in measures.items():
        a, b = [of_ours(t) for t in ours], [of_theirs(t) for t in theirs]
        error = np.sqrt((np.var(a) + np.var(b)) / 100)
        assert abs(np.mean(a) - np.mean(b)) < 4 * error + 1e-9, (name, np.mean(a), np.mean(b))


@pytest.mark.parametrize("swap", [False, True])
def test_what_is_not_used_is_put_back(corpus, swap, monkeypatch):
    """A, and B where it follows or was swapped, of all pairs of a document are the document."""
    keep_all(monkeypatch)
    place, documents = layout.Layout(corpus), sentences(corpus)
    for seed in range(5):
        table = pairing.plan(place, 60, 0.3, swap, np.random.default_rng(seed))
        whole, shares = "", collections.Counter()
        for (a, b, label), (first, end, second, last, _) in zip(texts(corpus, table), table):
            follows, precedes = end == second, last == first
            assert label == (not follows) and (swap or not precedes)
            shares[label] += 1
            whole += a + b if follows else b + a if precedes else a
            if not follows and not precedes:  # whole sentences of one other document
                (other,) = {line.split(":")[0] for line in b.splitlines()}
                assert other != a.split(":")[0] and b in "".join(documents[int(other)])
        assert whole == "".join(sum(documents, []))
        assert swap or shares[1] > shares[0]


def test_more_than_half_are_random_as_many_as_have_no_choice(corpus, monkeypatch):
    keep_all(monkeypatch)
    place, documents = layout.Layout(corpus), sentences(corpus)
    pairs = [pair for seed in range(300) for pair in walk(documents, 60, 0.1, False,
                                                          random.Random(seed))]
    alone = np.mean([pair[4] for pair in pairs])
    ours = np.concatenate([pairing.plan(place, 60, 0.1, False, np.random.default_rng(n))[:, 4]
                           for n in range(300)])
    assert alone > 0.2
    assert abs(ours.mean() - (alone + (1 - alone) / 2)) < 4 * np.sqrt(0.5 / len(ours))


@pytest.mark.parametrize("room", [50, 51])
def test_the_longer_side_is_cut_at_both_ends(room):
    """Lengths as taking single tokens off gives them; a tie is cut in B."""
    rng, sizes = np.random.default_rng(0), [(a, b) for a in range(1, 70, 3) for b in range(1, 70)]
    one = np.array([(0, a) for a, _ in sizes])
    two = np.array([(1000, 1000 + b) for _, b in sizes])
    cut = pairing._truncated(one, two, room, rng)
    for n, (a, b) in enumerate(sizes):
        while a + b > room:
            a, b = (a - 1, b) if a > b else (a, b - 1)
        assert np.diff(cut[0][n]) == a and np.diff(cut[1][n]) == b
        for run, before in zip(cut, (one, two)):
            assert before[n][0] <= run[n][0] < run[n][1] <= before[n][1]
    many = pairing._truncated(np.tile([[0, 60]], (4000, 1)), np.tile([[0, 10]], (4000, 1)), 50, rng)
    assert abs(many[0][:, 0].mean() - 10) < 4 * np.sqrt(20 / 4 / 4000)
    assert abs(many[0][:, 0].var() - 5) < 0.6


def test_a_row_by_hand(tmp_path):
    data = made(tmp_path, [["ab", "c"], ["d", "e"]])
    rows = Pairs(length=14, short=0.0).build(data)
    seen = set()
    for number in range(200):
        row = rows.draw(number, 4, 0)
        tokens, held = row["tokens"].tolist(), int(row["segments"].sum())
        assert tokens[0] == CLS and tokens[held - 1] == SEP and tokens.count(SEP) == 2
        assert not any(tokens[held:]) and row["segments"].tolist() == [1] * held + [0] * (14 - held)
        middle = tokens.index(SEP)
        assert row["types"].tolist() == [0] * (middle + 1) + [1] * (held - middle - 1) + [0] * (
            14 - held)
        assert {array.dtype for array in row.values()} == {np.dtype(np.int32)}
        a, b = BYTES.decode(tokens[1:middle]), BYTES.decode(tokens[middle + 1:held])
        seen.add((a, b, int(row["next_sentence"])))
    follow = {("ab\n", "c", 0), ("d\n", "e", 0)}
    apart = {(a, b, 1) for own, other in ((("ab\n", "c"), ("d\ne", "e")),
                                          (("d\n", "e"), ("ab\nc", "c")))
             for a in own for b in other}
    assert seen == follow | apart


def test_an_epoch_has_every_pair_of_its_plan_once(corpus):
    rows = Pairs(length=64).build(corpus)
    key = lambda row: (tuple(row["tokens"]), int(row["next_sentence"]))
    table, _, _ = rows._epochs.find(0, 5)
    planned = collections.Counter(key(rows._row(pair)) for pair in table)
    drawn = collections.Counter(key(rows.draw(n, 4, 5)) for n in range(len(table)))
    assert drawn == planned
    following = [key(rows.draw(len(table) + n, 4, 5)) for n in range(len(table))]
    assert collections.Counter(following) != planned
    in_order = [key(rows.example(n)) for n in range(rows.count)]
    assert in_order == [key(Pairs(length=64).build(corpus).example(n)) for n in range(rows.count)]


def test_the_batch_of_a_step_is_a_function_of_its_number(corpus):
    stream = Stream(Pairs(length=64).build(corpus), NextSentence(), batch=8, seed=1)
    far = 3 * stream.rows_per_epoch // 8
    fresh = Stream(Pairs(length=64).build(corpus), NextSentence(), batch=8, seed=1)
    assert batch_hash(stream[far]) == batch_hash(fresh[far])
    part, whole = stream.rows(far, 2, 5), fresh[far]
    for name in whole:
        np.testing.assert_array_equal(part[name], whole[name][2:5])
    other = Stream(Pairs(length=64).build(corpus), NextSentence(), batch=8, seed=2)
    assert batch_hash(other[far]) != batch_hash(whole)
    assert {"labels", "types", "masked"} <= whole.keys() and "next_sentence" not in whole
    prints = {Pairs(length=64, **how).build(corpus).fingerprint
              for how in ({}, {"short": 0.2}, {"contrast": "swapped"})}
    assert len(prints) == 3


def test_plans_are_kept_in_files_and_are_the_same(corpus, monkeypatch):
    from transformer.data import pairs

    free = [Pairs(length=64).build(corpus).draw(n, 4, 9) for n in (0, 300)]
    monkeypatch.setattr(pairs, "SMALL", 0)
    monkeypatch.setattr(layout, "SMALL", 0)
    for _ in range(2):
        kept = [Pairs(length=64).build(corpus).draw(n, 4, 9) for n in (0, 300)]
        monkeypatch.setattr(pairing, "plan", None)  # the second time it is not called
        monkeypatch.setattr(layout, "sentence_ends", None)
        for a, b in zip(free, kept):
            np.testing.assert_array_equal(a["tokens"], b["tokens"])


def test_mistakes_are_named(corpus, tmp_path):
    with pytest.raises(UserError, match="length is 4.*need 5"):
        Pairs(length=4)
    with pytest.raises(UserError, match="read both sides"):
        Pairs(length=64).build(corpus, lookahead=1)
    with pytest.raises(UserError, match="cuts running text"):
        Pairs(length=64).build([{"tokens": [1]}])
    single = made(tmp_path, [["a", "b"], ["c"]], documents="file")
    with pytest.raises(UserError, match="has 1 document with text"):
        Pairs(length=64).build(single)
