"""Text to text: what is hidden, that nothing is lost, and how long the sides are."""

import collections
import itertools
import math

import numpy as np
import pytest

from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.objectives.denoising import Denoising
from transformer.objectives.prefix_lm import PrefixLM, PrefixNextToken
from transformer.objectives.span_corruption import SpanCorruption, sentinels

BYTES = Bytes(sentinels=100).train()
PAD, BOS, EOS, MASK = (BYTES.special[name] for name in ("pad", "bos", "eos", "mask"))
FIRST = BYTES.size - 256  # the id of byte 0
SENTINELS = [BYTES.special[f"extra_{n}"] for n in range(100)]
PROSE = "It rains. The old dog sleeps! Who minds? A cat purrs (\"prr.\") Now. 3.14 is pi. "


def row(tokens, size=None):
    tokens = np.array(tokens, np.int32)
    size = size or len(tokens)
    return {"tokens": np.pad(tokens, (0, size - len(tokens))),
            "segments": (np.arange(size) < len(tokens)).astype(np.int32)}


def random_row(rng, length, size=None):
    return row(rng.integers(FIRST, BYTES.size, length), size)


def sides(prepared):
    """(source, target) without padding and final eos, which is checked."""
    found = []
    for tokens, segments in (("source_tokens", "source_segments"), ("targets", "segments")):
        used = prepared[tokens][prepared[segments] > 0]
        assert used[-1] == EOS and EOS not in used[:-1]
        found.append(used[:-1].tolist())
    return found


def merged(source, target, marks):
    """The text again: each sentinel of the source replaced by what the target says of it."""
    cuts = [n for n, token in enumerate(target) if token in marks]
    parts = {target[a]: target[a + 1:b] for a, b in zip(cuts, [*cuts[1:], len(target)])}
    assert cuts[0] == 0 and [t for t in source if t in marks] == list(parts) == marks[:len(cuts)]
    return list(itertools.chain.from_iterable(parts.get(token, [token]) for token in source))


@pytest.mark.parametrize("raw, inputs, targets", [(568, 512, 114), (141, 128, 29), (70, 64, 14)])
def test_lengths_of_t5(raw, inputs, targets):
    objective = SpanCorruption()
    assert objective.raw_length(inputs) == raw and objective.sides(raw) == (inputs, targets)
    made = objective.prepare(random_row(np.random.default_rng(0), raw), np.random.default_rng(1),
                             BYTES)
    assert made["source_segments"].tolist() == [1] * inputs
    assert made["segments"].tolist() == [1] * targets == made["weights"].tolist()


@pytest.mark.parametrize("length, counts", [
    (33, (5, 2)), (30, (4, 1)), (10, (2, 1)), (3, (1, 1)), (2, (1, 1)), (50, (8, 3))])
def test_counts_round_as_python_does(length, counts):
    """33 * 0.15 = 4.95, 30 * 0.15 = 4.5 goes to the even 4, 50 * 0.15 = 7.5 to the even 8."""
    assert SpanCorruption().counts(length) == counts


@pytest.mark.parametrize("rate, mean", [(0.15, 3.0), (0.5, 3.0), (0.5, 1.0), (0.9, 2.0)])
def test_source_and_target_merge_to_the_row(rate, mean):
    objective = SpanCorruption(rate=rate, mean=mean)
    for seed, length in enumerate([2, 3, 4, 5, 7, 20, 41, 99, 100] * 4):
        example = random_row(np.random.default_rng(seed), length, 100)
        made = objective.prepare(example, np.random.default_rng([1, seed]), BYTES)
        assert (len(made["source_tokens"]), len(made["tokens"])) == objective.sides(100)
        text = example["tokens"][:length].tolist()
        assert merged(*sides(made), SENTINELS) == text


def test_span_corruption_by_hand(monkeypatch):
    hidden = np.array([0, 0, 1, 1, 0, 1], bool)
    monkeypatch.setattr(SpanCorruption, "hidden", lambda *_: hidden)
    a, b, c, d, e, f = range(FIRST, FIRST + 6)
    example = row([a, b, EOS, c, d, e, f], size=9)
    for objective, one, two in ((SpanCorruption(rate=0.5), *SENTINELS[:2]),
                                (SpanCorruption(rate=0.5, vocab=500), 499, 498)):
        made = objective.prepare(example, np.random.default_rng(0), BYTES)
        assert made["source_tokens"].tolist() == [a, b, one, e, two, EOS, PAD]
        assert made["targets"].tolist() == [one, c, d, two, f, EOS]
        assert made["tokens"].tolist() == [PAD, one, c, d, two, f]
        assert made["weights"].tolist() == [1] * 6
        assert {made[n].dtype for n in ("tokens", "targets", "source_tokens")} == {
            np.dtype(np.int32)}


def test_every_mask_is_equally_likely():
    """Of 7 tokens 3 hidden in 2 spans: 4 kept fall in 2 parts in 3 ways, 3 hidden ones in 2."""
    objective, rng = SpanCorruption(rate=0.45, mean=1.6), np.random.default_rng(0)
    assert objective.counts(7) == (3, 2)
    seen = collections.Counter(tuple(objective.hidden(7, rng)) for _ in range(6000))
    assert len(seen) == 6 and all(not m[0] and m[-1] and sum(m) == 3 for m in seen)
    assert sum((n - 1000) ** 2 / 1000 for n in seen.values()) < 20.5  # 5 degrees, p = 0.001


def test_fifteen_percent_of_a_million_tokens_in_spans_of_three():
    objective, rng, rows = SpanCorruption(), np.random.default_rng(0), 1800
    masks = np.stack([objective.hidden(568, rng) for _ in range(rows)])
    starts = masks[:, 1:] & ~masks[:, :-1]
    assert masks.size > 1e6 and (masks.sum(1) == 85).all() and (starts.sum(1) == 28).all()
    inside = masks[:, 60:-60].mean()  # away from the ends, where a row is kept or hidden by rule
    assert abs(inside - 0.15) < 0.005


def test_sentinels_are_no_pieces():
    assert sentinels(BYTES, 3, None).tolist() == SENTINELS[:3]
    assert sentinels(BYTES, 3, BYTES.size + 3).tolist() == [BYTES.size + 2 - n for n in range(3)]
    with pytest.raises(UserError, match=f"into the tokenizer's {BYTES.size}; set it to at least "
                                        f"{BYTES.size + 3}"):
        sentinels(BYTES, 3, BYTES.size + 2)
    with pytest.raises(UserError, match="needs 5 sentinels, but the tokenizer has 2"):
        sentinels(Bytes(sentinels=2).train(), 5, None)


@pytest.mark.parametrize("objective", [SpanCorruption(), PrefixLM(), Denoising()], ids=str)
@pytest.mark.parametrize("length", [0, 1])
def test_a_row_without_text_predicts_nothing(objective, length):
    made = objective.prepare(row([FIRST] * length + [EOS], 20), np.random.default_rng(0), BYTES)
    assert not made["weights"].any() and not made["source_segments"].any()
    assert made["source_tokens"].shape == (objective.sides(20)[0],)
    assert made["tokens"].shape == made["targets"].shape == (objective.sides(20)[1],)


@pytest.mark.parametrize("objective", [SpanCorruption(), PrefixLM(), Denoising()], ids=str)
def test_special_pieces_of_the_row_are_left_out_and_unk_is_text(objective):
    text = [*range(FIRST, FIRST + 30), BYTES.special["unk"]]
    for seed in range(30):
        rng = np.random.default_rng(seed)
        example = row(np.insert(text, rng.integers(0, 31, 4), EOS), 40)
        source, target = sides(objective.prepare(example, rng, BYTES))
        spoken = {t for t in source + target if t >= FIRST or t == BYTES.special["unk"]}
        assert spoken == set(text)


def test_a_prefix_and_its_rest_are_the_row():
    objective, cuts = PrefixLM(), collections.Counter()
    for seed in range(2000):
        text = np.arange(FIRST, FIRST + 5)
        made = objective.prepare(row(text, 6), np.random.default_rng(seed), BYTES)
        source, target = sides(made)
        assert source + target == text.tolist() and made["tokens"][0] == PAD
        cuts[len(source)] += 1
    assert set(cuts) == {1, 2, 3, 4}
    assert sum((n - 500) ** 2 / 500 for n in cuts.values()) < 16.3  # 3 degrees, p = 0.001


def test_a_prefix_is_read_and_not_predicted():
    example = {"tokens": np.arange(20, 29, dtype=np.int32),
               "segments": np.array([1, 1, 1, 1, 2, 2, 3, 0, 0], np.int32)}
    cuts = collections.Counter()
    for seed in range(300):
        made = PrefixNextToken().prepare(example, np.random.default_rng(seed), None)
        assert made["tokens"].tolist() == list(range(20, 28))
        assert made["targets"].tolist() == list(range(21, 29))
        cut = int(made["prefix"][:4].sum())
        assert made["prefix"].tolist() == [1] * cut + [0] * (4 - cut) + [1, 0, 1, 0]
        assert made["weights"].tolist() == [0] * (cut - 1) + [1] * (4 - cut) + [0, 1, 0, 0, 0]
        cuts[cut] += 1
    assert set(cuts) == {1, 2, 3} and min(cuts.values()) > 60


def test_denoising_by_hand(monkeypatch):
    """Sentences in the order drawn, and [mask] for words 2 and 3 and for nothing at the end."""
    monkeypatch.setattr(Denoising, "lengths", lambda *_: np.array([2, 0]))

    class Drawn:
        """Draws what the test wants."""
        permutation = staticmethod(lambda n: np.arange(n)[::-1])
        choice = staticmethod(lambda n, k, replace: np.array([1, n - 1]))

    ids = lambda text: BYTES.encode(text)
    example = row(ids("One two. Go on now."), 32)
    made = Denoising(rate=0.3).prepare(example, Drawn, BYTES)
    source, target = sides(made)
    assert target == [BOS, *ids("One two. Go on now.")]
    # " Go", " on", " now", "." and "One", " two", "."; two words of seven are hidden
    assert source == [BOS, *ids(" Go"), MASK, *ids(".One two."), MASK]
    assert made["tokens"][:2].tolist() == [EOS, BOS]


def test_sentences_are_shuffled_and_all_there():
    text, orders = BYTES.encode(PROSE), set()
    objective = Denoising(rate=0.0)
    for seed in range(20):
        source, target = sides(objective.prepare(row(text), np.random.default_rng(seed), BYTES))
        assert target == [BOS, *text]
        orders.add(BYTES.decode(source))
    parts = ["It rains.", " The old dog sleeps!", " Who minds?",
             " A cat purrs (\"prr.\")", " Now.", " 3.14 is pi.", " "]
    assert len(orders) > 10 and all(
        sorted(order) == sorted(PROSE) and all(part in order for part in parts)
        for order in orders)
    kept, _ = sides(Denoising(rate=0.0, permute=False).prepare(
        row(text), np.random.default_rng(0), BYTES))
    assert kept == [BOS, *text]


def test_what_is_not_masked_is_there_in_order():
    objective = Denoising(permute=False)
    for seed in range(40):
        text = BYTES.encode("".join(f" w{n}" for n in range(seed + 1)))
        source, target = sides(objective.prepare(row(text), np.random.default_rng(seed), BYTES))
        rest = iter(target)
        assert target == [BOS, *text] and len(source) <= len(target)
        assert all(token in rest for token in source if token != MASK)  # a subsequence
        words = BYTES.decode(source).split()
        assert len(words) == seed + 1 - math.ceil(0.3 * (seed + 1))


def test_masks_are_at_most_as_many_as_hidden_words():
    rng = np.random.default_rng(0)
    for hidden in (0, 1, 2, 5):
        for _ in range(300):
            spans = Denoising(mean=0.5).lengths(hidden, rng)  # most spans drawn are empty
            assert spans.sum() == hidden >= len(spans)


def test_thirty_percent_of_a_million_words_in_poisson_spans():
    objective, rng, words = Denoising(), np.random.default_rng(0), 1000
    spans = np.concatenate([objective.lengths(300, rng)[:-1] for _ in range(1000)])
    out = [objective.infilled([[n] for n in range(words)], -1, rng) for _ in range(1000)]
    kept = sum(part != [-1] for row in out for part in row)
    assert kept == 1000 * 700
    for length in range(6):
        share = math.exp(-3) * 3**length / math.factorial(length)
        # the last span of a row is what was left of it: about 1 of 100, of any length
        assert abs((spans == length).sum() - share * len(spans)) < (
            3 * np.sqrt(share * len(spans)) + 0.01 * len(spans))
    first = np.mean([row[0] == [-1] for row in out])
    middle = np.mean([row[len(row) // 2] == [-1] for row in out])
    assert abs(first - 0.125) < 0.04 and abs(middle - 0.125) < 0.04  # 100 spans in 800 slots


def test_mistakes_are_named():
    for make, match in ((lambda: SpanCorruption(rate=0.0), "above 0"),
                        (lambda: SpanCorruption(mean=0.5), "at least 1 token"),
                        (lambda: Denoising(mean=0.0), "mean is 0")):
        with pytest.raises(UserError, match=match):
            make()

    class NoEnd:
        size, special = 400, {"pad": 0}

    with pytest.raises(UserError, match="no special piece 'eos'"):
        PrefixLM().prepare(row([300, 301]), np.random.default_rng(0), NoEnd())
