import hashlib
import os
import pathlib
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from transformer.data import encode as encode_module
from transformer.data.encode import encode
from transformer.data.rows import Chunks, Mixture, Packed, Padded
from transformer.data.source import Text
from transformer.data.stream import Stream, batch_hash, row_digests, stack
from transformer.error import UserError
from transformer.spec import Spec

ROOT = str(pathlib.Path(encode_module.__file__).parents[2])


class Shifted(Spec):
    """Next token, with noise from the generator, so that a wrong key shows."""

    scale: float = 1.0
    lookahead: ClassVar[int] = 1

    def prepare(self, example, rng, tokenizer):
        same = (example["segments"][1:] == example["segments"][:-1]) & (example["segments"][1:] > 0)
        return {"tokens": example["tokens"][:-1], "targets": example["tokens"][1:],
                "segments": example["segments"][:-1], "weights": same.astype(np.float32),
                "noise": (rng.random(3) * self.scale).astype(np.float32)}


class Plain(Spec):
    lookahead: ClassVar[int] = 0

    def prepare(self, example, rng, tokenizer):
        return example


class Numbers:
    size, fingerprint = 50_000, "numbers"
    special = {"pad": 7, "eos": 1}

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    place = tmp_path_factory.mktemp("corpus")
    ids, texts = iter(range(100, 50_000)), []
    for n in range(60):
        texts.append(" ".join(str(next(ids)) for _ in range(2 + n * 5 % 17)))
    (place / "a.txt").write_text("\n".join(texts))
    return encode(Text(path=str(place / "a.txt"), documents="line"), Numbers(), place)


def rows_of(kind, corpus, lookahead=1):
    chunks = Chunks(length=8)
    return {
        "chunks": lambda: chunks.build(corpus, lookahead),
        "packed": lambda: Packed(length=16).build(corpus, lookahead),
        "padded": lambda: Padded(length=16).build(corpus, lookahead),
        "buckets": lambda: Padded(length=16, buckets=(5, 9)).build(corpus, lookahead),
        "mixture": lambda: Mixture(parts=(chunks, chunks), weights=(0.8, 0.2)).build(
            [corpus.view(0, 200), corpus.view(200, len(corpus))], lookahead),
        "tiny": lambda: chunks.build(corpus.view(0, 20), lookahead),
    }[kind]()


KINDS = ["chunks", "packed", "padded", "buckets", "mixture", "tiny"]


def make(kind, corpus, seed=3, batch=4):
    return Stream(rows_of(kind, corpus), Shifted(), batch=batch, seed=seed)


def hashes(batches, count):
    return [batch_hash(next(batches)) for _ in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_at_any_step_gives_the_same_batches(corpus, kind):
    stream = make(kind, corpus)
    steps = max(3 * stream.rows_per_epoch // 4, 4)  # three short epochs
    whole = hashes(stream.iterate(), steps)
    assert len(set(whole)) == steps
    for start in range(0, steps, 1 if steps < 60 else 5):
        fresh = make(kind, corpus)  # as after a restart
        assert whole[:start] + hashes(fresh.iterate(start), min(steps - start, 6)) \
            == whole[:start + min(steps - start, 6)]
    assert [batch_hash(stream[n]) for n in reversed(range(steps))] == whole[::-1]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_threads_do_not_change_the_order(corpus, threads):
    stream = make("packed", corpus)
    assert hashes(stream.iterate(5, threads=threads), 30) == [
        batch_hash(stream[5 + n]) for n in range(30)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_slices_make_up_the_global_batch(corpus, kind, hosts):
    stream, share = make(kind, corpus), 4 // hosts
    bounds = [(host * share, (host + 1) * share) for host in range(hosts)]
    iterators = [stream.iterate(7, wanted=range(a, b)) for a, b in bounds]
    for step in range(7, 12):
        whole = stream[step]
        parts = [stream.rows(step, a, b) for a, b in bounds]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in whole}
        assert batch_hash(joined) == batch_hash(whole)
        digests = b"".join(b"".join(row_digests(next(it))) for it in iterators)
        assert hashlib.sha256(digests).hexdigest() == batch_hash(whole)


def test_any_rows_can_be_asked_for(corpus):
    stream, wanted = make("chunks", corpus), (0, 3)
    found = next(stream.iterate(5, wanted=wanted))
    assert row_digests(found) == [row_digests(stream[5])[n] for n in wanted]


def test_a_slice_computes_no_other_row(corpus, monkeypatch):
    stream, asked = make("chunks", corpus), []
    drawn = stream._rows.draw
    monkeypatch.setattr(stream._rows, "draw", lambda n, *rest: asked.append(n) or drawn(n, *rest))
    stream.rows(100, 1, 3)
    assert asked == [401, 402]
    with pytest.raises(ValueError, match="rows of a batch of 4"):
        stream.rows(0, 3, 5)


def test_rows_run_on_across_epochs_and_fill_any_batch(corpus):
    stream = make("tiny", corpus, batch=8)
    assert stream.rows_per_epoch == 3
    firsts = np.concatenate([stream[n]["tokens"][:, 0] for n in range(6)])
    for start in range(0, 48, 3):
        assert len(set(firsts[start:start + 3])) == 3
    assert stream[0]["index"].tolist() == list(range(8))
    assert stream[3]["index"].tolist() == list(range(24, 32))


def test_every_example_has_random_numbers_of_its_own(corpus):
    stream = make("tiny", corpus, batch=8)
    noise = np.concatenate([stream[n]["noise"] for n in range(6)])
    assert len(np.unique(noise)) == noise.size
    regrouped = make("tiny", corpus, batch=4)
    assert np.array_equal(noise[:4], regrouped[0]["noise"])
    assert not np.isin(make("tiny", corpus, seed=4, batch=8)[0]["noise"], noise).any()


def test_a_stream_reaches_far_beyond_thirty_two_bits(corpus):
    stream = make("chunks", corpus)
    batch = stream[2**40]
    assert batch["index"].tolist() == [0, 1, 2, 3] and batch["index"].dtype == np.int32
    assert batch_hash(batch) == batch_hash(next(stream.iterate(2**40)))
    assert stream[2**30 - 1]["index"].tolist() == [2**31 - n for n in (4, 3, 2, 1)]  # not negative
    with pytest.raises(IndexError):
        stream[-1]


# evaluation

@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_has_every_row_once_in_order(corpus, kind):
    stream, rows = make(kind, corpus), rows_of(kind, corpus)
    batches = list(stream.evaluation(7))
    index = np.concatenate([batch["index"] for batch in batches])
    assert index[:rows.count].tolist() == list(range(rows.count))
    assert (index[rows.count:] == -1).all() and len(index) % 7 == 0
    for n, batch in enumerate(batches):
        assert all(len(array) == 7 for array in batch.values())
        for place, row in enumerate(batch["index"]):
            if row < 0:
                assert not any(array[place].any() for k, array in batch.items() if k != "index")
            else:
                tokens = rows.example(row)["tokens"][:-1]
                width = min(len(tokens), batch["tokens"].shape[1])
                assert batch["tokens"][place][:width].tolist() == tokens[:width].tolist()
    scored = sum(batch["weights"].sum() for batch in batches)
    expected = sum(((r["segments"][1:] == r["segments"][:-1]) & (r["segments"][1:] > 0)).sum()
                   for r in map(rows.example, range(rows.count)))
    assert scored == expected


def test_evaluation_does_not_depend_on_seed_or_batch(corpus):
    one = next(make("chunks", corpus, seed=1).evaluation(8))
    two = list(make("chunks", corpus, seed=2).evaluation(4))[:2]
    joined = {name: np.concatenate([batch[name] for batch in two]) for name in one}
    assert batch_hash(one) == batch_hash(joined)


def test_evaluation_can_be_sliced(corpus):
    stream = make("buckets", corpus)
    for whole, *parts in zip(stream.evaluation(6), stream.evaluation(6, 0, 2),
                             stream.evaluation(6, 2, 6), strict=True):
        joined = {name: np.concatenate([part[name] for part in parts]) for name in whole}
        assert batch_hash(joined) == batch_hash(whole)


def test_evaluation_in_buckets_has_few_widths(corpus):
    widths = {b["tokens"].shape[1] for b in make("buckets", corpus).evaluation(2)}
    assert widths <= {5, 9, 16} and len(widths) > 1


# choices

def choices(count):
    return [{"tokens": np.full((3, 4), n) + np.arange(3)[:, None], "labels": n % 3,
             "pooled": [3, 2, 1]} for n in range(100, 100 + count)]


def test_choices_become_rows(corpus):
    rows = Padded(length=6).build(choices(5), 0, Numbers())
    stream = Stream(rows, Plain(), batch=2, seed=0)
    batch = stream[3]
    assert batch["tokens"].shape == (6, 6) and batch["labels"].shape == (2,)
    assert batch["pooled"].tolist() == [3, 2, 1, 3, 2, 1]
    assert batch["index"].tolist() == list(range(18, 24))
    assert (np.diff(batch["tokens"][:3, 0]) == 1).all()
    assert batch["labels"].tolist() == (batch["tokens"][::3, 0] % 3).tolist()
    half = stream.rows(3, 1, 2)
    assert half["tokens"].tolist() == batch["tokens"][3:].tolist()
    assert row_digests(half) == row_digests(batch)[1:]
    last = list(stream.evaluation(2))[-1]
    assert last["index"].tolist() == [12, 13, 14, -1, -1, -1]
    assert not last["segments"][3:].any() and last["labels"].shape == (2,)


def test_labels_of_as_many_classes_as_choices_are_not_folded():
    row = {"tokens": np.zeros((2, 3), np.int32), "labels": np.array([0.5, 0.5], np.float32)}
    batch = stack([row] * 4)
    assert batch["tokens"].shape == (8, 3) and batch["labels"].shape == (4, 2)


# identity

def test_a_hash_follows_every_array_and_the_order_of_rows(corpus):
    batch = make("chunks", corpus)[0]
    found = {batch_hash(batch)}
    for name in batch:
        changed = dict(batch)
        changed[name] = batch[name].copy()
        changed[name].flat[0] += 1
        found.add(batch_hash(changed))
    found.add(batch_hash({name: array[::-1] for name, array in batch.items()}))
    found.add(batch_hash(batch | {"tokens": batch["tokens"].astype(np.int64)}))
    renamed = dict(batch)
    renamed["nois"] = renamed.pop("noise")
    found.add(batch_hash(renamed))
    assert len(found) == len(batch) + 4
    assert batch_hash(dict(reversed(batch.items()))) == batch_hash(batch)


def test_a_fingerprint_follows_everything_that_makes_the_batches(corpus):
    rows = rows_of("chunks", corpus)
    streams = [make("chunks", corpus), make("chunks", corpus, seed=4),
               make("chunks", corpus, batch=5), make("packed", corpus),
               Stream(rows, Shifted(scale=2.0), batch=4, seed=3),
               Stream(Chunks(length=8).build(corpus.view(0, 100), 1), Shifted(), batch=4, seed=3)]
    assert len({stream.fingerprint for stream in streams}) == len(streams)
    assert make("chunks", corpus).fingerprint == streams[0].fingerprint


# First tokens of the tenth batch. If these move, every run resumes into other data than it left:
# raise `stream.FORMAT`, which makes such runs refuse to go on.
ORDER = {
    "chunks": [536, 1, 581, 172],
    "packed": [619, 313, 417, 449],
    "padded": [663, 279, 138, 102],
    "buckets": [631, 556, 216, 279],
    "mixture": [202, 681, 129, 194],
    "tiny": [100, 114, 107, 107],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_data_never_moves(corpus, kind):
    assert make(kind, corpus)[9]["tokens"][:, 0].tolist() == ORDER[kind]


def test_a_stream_needs_a_batch_and_matching_rows(corpus):
    with pytest.raises(UserError, match="the batch is 0"):
        Stream(rows_of("chunks", corpus), Shifted(), batch=0)
    with pytest.raises(ValueError, match="rows with lookahead 0"):
        Stream(rows_of("chunks", corpus, lookahead=0), Shifted(), batch=2)


FAILING = """
from transformer.data.rows import Padded
from transformer.data.stream import Stream
from transformer.error import UserError
from transformer.spec import Spec

class Failing(Spec):
    lookahead = 0

    def prepare(self, example, rng, tokenizer):
        if example["labels"] == 3:
            raise UserError("row 3 is odd")
        return example

rows = Padded(length=4).build([{"tokens": [1, 2], "labels": n} for n in range(4)])
try:
    for batch in Stream(rows, Failing(), batch=1).iterate():
        pass
except UserError as error:
    print(error)
"""


def test_an_error_in_the_background_arrives_and_the_program_ends():
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "PYTHONPATH": ROOT})
    assert (done.returncode, done.stdout) == (0, "row 3 is odd\n"), done.stderr
