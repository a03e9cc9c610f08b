"""Beam search against searches that keep every answer, and against one written in plain Python."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import cells

from transformer.error import UserError
from transformer.generation.beam import BLOCK, Beam, PowerPenalty, WuPenalty, likeliest
from transformer.generation.generate import Greedy, generate
from transformer.generation.prompt import batch_of
from transformer.generation.stream import stream
from transformer.nn.door import unstack

NEW = 5
# Few tokens may come, and one that comes often ends an answer, so that some end early.
HOW = {"gpt2": dict(stop=2, choose=Beam(width=3, answers=2, penalty=WuPenalty(alpha=1.5))),
       "vaswani": dict(stop=3, choose=Beam(width=3, answers=2, penalty=PowerPenalty(alpha=0.2))),
       "gpt3": dict(stop=1, choose=Beam(width=3, answers=2)),  # reaches count positions, not slots
       "t5": dict(stop=5, choose=Beam(width=3, answers=2, penalty=PowerPenalty(alpha=0.2))),
       "rnn": dict(stop=3, choose=Beam(width=3, answers=2))}
HOW = {name: dict(tokens=NEW, pad=9, vocab=7, **how) for name, how in HOW.items()}
PENALTIES = {"power": PowerPenalty(alpha=1.3), "wu": WuPenalty(alpha=0.6),
             "none": PowerPenalty(alpha=0.0), "short": PowerPenalty(alpha=-0.7)}


def divisor(penalty, n):
    """The penalty in plain arithmetic."""
    if isinstance(penalty, PowerPenalty):
        return n**penalty.alpha
    return ((5 + n) / 6) ** penalty.alpha


def plain_search(nats, beam, tokens, stop, early=True):
    """[(score, log-probability, ids)], best first, of one prompt, and how many steps it took.

    nats(list of ids) [n, V]: what follows each. stop: tokens. early: whether to stop early.
    """
    live, ended = [(0.0, [])], []
    for n in range(1, tokens + 1):
        ahead = nats([ids for _, ids in live])
        found = [(total + float(row[t]), [*ids, t]) for (total, ids), row in zip(live, ahead)
                 for t in range(len(row))]
        found = sorted(found, key=lambda one: -one[0])[:(1 + len(stop)) * beam.width]
        ends = [ids[-1] in stop or n == tokens for _, ids in found]
        ended += [(total / divisor(beam.penalty, n), total, ids)
                  for (total, ids), end in list(zip(found, ends))[:beam.width] if end]
        ended = sorted(ended, key=lambda one: -one[0])[:beam.width]
        live = [one for one, end in zip(found, ends) if not end][:beam.width]
        full = len(ended) == beam.width
        if early and full and live and beam.until == "likely" and (
                live[0][0] / divisor(beam.penalty, n) <= ended[-1][0]):
            break
        if early and full and beam.until == "full":
            break
    return ended[:beam.answers], n


def chained(table, first):
    return lambda beginnings: [table[([first] + ids)[-1]] for ids in beginnings]


@pytest.mark.parametrize("size", [7, 40 * BLOCK, 40 * BLOCK + 3])
@pytest.mark.parametrize("values", [3, 10**6, 1], ids=["many equal", "few equal", "nothing left"])
def test_the_likeliest_are_those_of_the_whole_row(size, values):
    """In value, place and order: with equal scores, some ruled out, and a part of a block."""
    rng = np.random.default_rng(size)
    scores = rng.integers(0, values, (5, size)).astype(np.float32)
    scores[rng.random((5, size)) < 0.5] = 0
    scores[0, -2:], scores[0, 0] = (2e6, 1e6), 1e6  # equals, the later beside the highest
    scores = jnp.where(scores == 0, -jnp.inf, scores)
    found, wanted = jax.jit(likeliest, static_argnums=1)(scores, 6), jax.lax.top_k(scores, 6)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all_answers(chain, penalty):
    model, params = chain
    table, most, stop = np.asarray(params, np.float64), 3, 0
    made = generate(model, params, batch_of([[1], [2], []]), tokens=most, stop=stop, pad=9,
                    choose=Beam(width=4**most, answers=5, penalty=penalty, until="sure"))
    for row, first in enumerate((1, 2)):
        every = {ids[:ids.index(stop) + 1] if stop in ids else ids
                 for ids in itertools.product(range(4), repeat=most)}
        nats = {ids: sum(table[a, b] for a, b in zip((first, *ids), ids)) for ids in every}
        score = {ids: nats[ids] / divisor(penalty, len(ids)) for ids in every}
        for place, ids in enumerate(sorted(every, key=score.get, reverse=True)[:5]):
            n = 5 * row + place
            assert made["tokens"][n].tolist() == [*ids, *[9] * (most - len(ids))]
            assert made["lengths"][n] == len(ids)
            np.testing.assert_allclose(made["log_probability"][n], nats[ids], rtol=1e-5)
            np.testing.assert_allclose(made["score"][n], score[ids], rtol=1e-5)
    assert made["lengths"][10:].tolist() == [0] * 5 and not np.isfinite(made["score"][10:]).any()


@pytest.fixture(scope="module")
def searched(tiny, prompts):
    """searched(family) -> (small, its parameters, batch, what is found for it)."""
    made = {}

    def searched(name):
        if name not in made:
            small = tiny(name)
            params, batch = unstack(small.params), prompts(small)
            made[name] = (small, params, batch,
                          generate(small.model, params, batch, **HOW[name]))
        return made[name]

    return searched


@pytest.mark.parametrize("name", cells(HOW, ("gpt2", "gpt3", "vaswani", "rnn")))
def test_batched_search_with_a_cache_is_the_plain_search_by_full_passes(searched, name):
    small, _, batch, made = searched(name)
    rows = 8
    for row in range(4):
        prompt = batch["tokens"][row, :batch["segments"][row].sum()].tolist()

        def nats(beginnings):
            tokens = np.zeros((rows, 12), np.int32)
            segments = np.zeros_like(tokens)
            for n, ids in enumerate(beginnings):
                tokens[n, :len(prompt + ids)], segments[n, :len(prompt + ids)] = prompt + ids, 1
            whole = {"tokens": tokens, "segments": segments} | {
                key: batch[key][[row] * rows] for key in batch if "source" in key}
            logits = np.asarray(small.forward(small.params, whole)["logits"], np.float64)
            last = logits[np.arange(rows), segments.sum(1) - 1, :7][:len(beginnings)]
            return last - np.log(np.exp(last).sum(1, keepdims=True))

        found, _ = plain_search(nats, HOW[name]["choose"], NEW, (HOW[name]["stop"],))
        for place, (score, total, ids) in enumerate(found):
            n = 2 * row + place
            assert made["tokens"][n].tolist() == ids + [9] * (NEW - len(ids)), (row, place)
            assert made["lengths"][n] == len(ids)
            np.testing.assert_allclose(made["log_probability"][n], total, rtol=1e-4)
            np.testing.assert_allclose(made["score"][n], score, rtol=1e-4)
    assert made["lengths"].min() < NEW == made["lengths"].max()


@pytest.mark.parametrize("name", cells(HOW, ("gpt2", "vaswani")))
def test_a_prompt_of_a_batch_is_searched_as_if_alone(searched, name):
    small, params, batch, together = searched(name)
    for row in (1, 2):
        valid = int(batch["segments"][row].sum())
        alone = {key: value[row:row + 1] for key, value in batch.items()}
        alone |= {key: alone[key][:, :valid] for key in ("tokens", "segments")}
        made = generate(small.model, params, alone, **HOW[name])
        pair = slice(2 * row, 2 * row + 2)
        np.testing.assert_array_equal(made["tokens"], together["tokens"][pair])
        np.testing.assert_allclose(made["score"], together["score"][pair], rtol=1e-5)


def test_one_beam_is_greedy(tiny, prompts):
    small = tiny("gpt2")
    batch, params = prompts(small), unstack(small.params)
    one, greedy = (generate(small.model, params, batch, tokens=NEW, choose=choose)
                   for choose in (Beam(width=1), Greedy()))
    np.testing.assert_array_equal(one["tokens"], greedy["tokens"])
    np.testing.assert_allclose(one["log_probability"], greedy["log_probability"], rtol=1e-5)
    np.testing.assert_allclose(one["score"], greedy["log_probability"] / NEW, rtol=1e-5)


def random_chain(seed):
    """A table [6, 6] of log-probabilities whose rows differ much; token 0 ends."""
    logits = np.random.default_rng(seed).normal(0, 1.5, (6, 6))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


@pytest.mark.parametrize("penalty", ["power", "wu", "short"])
def test_the_sure_rule_never_loses_the_best_answer(chain, penalty):
    model, _ = chain
    most, lost, saved = 9, 0, 0
    for seed in range(30):
        table = random_chain(seed)
        rules = {}
        for until in ("sure", "likely"):
            model.steps.clear()
            made = generate(model, jnp.asarray(table), batch_of([[1]]), tokens=most, stop=0,
                            choose=Beam(width=2, penalty=PENALTIES[penalty], until=until))
            jax.effects_barrier()
            rules[until] = made, len(model.steps)
        beam = Beam(width=2, penalty=PENALTIES[penalty])
        ((score, _, _),), _ = plain_search(chained(table, 1), beam, most, (0,), early=False)
        made, steps = rules["sure"]
        np.testing.assert_allclose(made["score"][0], score, rtol=1e-5)
        saved += steps < most
        lost += rules["likely"][0]["score"][0] < score - 1e-4
    assert saved  # it did stop
    assert (lost > 0) == (penalty == "power")  # where length is rewarded, the likely rule does lose


def test_where_length_costs_the_sure_rule_looks_at_the_next_length(chain):
    """At the last of 30, 2 alone would score worse than the end that was found; with 0 it wins."""
    model, _ = chain
    table = jnp.log(jnp.array([[0.25] * 4, [0.15, 0.025, 0.8, 0.025], [0.9, 0.05, 0.025, 0.025],
                               [0.25] * 4]))
    made = generate(model, table, batch_of([[1]]), tokens=30, stop=0, pad=9, choose=Beam(
        width=2, penalty=PowerPenalty(alpha=-0.7), until="sure"))
    assert made["tokens"][0, :3].tolist() == [2, 0, 9]
    np.testing.assert_allclose(made["score"], np.log(0.8 * 0.9) * 2**0.7, rtol=1e-5)


@pytest.mark.parametrize(("until", "stop"), [("likely", (0,)), ("likely", (0, 4)), ("full", (0,))])
def test_every_rule_stops_where_it_says(chain, until, stop):
    """Each prompt for itself: one that is done takes no later answer while others go on."""
    model, _ = chain
    beam, stopped, firsts = Beam(width=3, answers=3, until=until), set(), (1, 2, 3, 5)
    for seed in range(10):
        table = random_chain(seed)
        model.steps.clear()
        made = generate(model, jnp.asarray(table), batch_of([[first] for first in firsts]),
                        tokens=8, stop=stop, choose=beam)
        jax.effects_barrier()
        found = [plain_search(chained(table, first), beam, 8, stop) for first in firsts]
        # paths over the same pairs in another order tie: their scores agree, not their tokens
        want = [score for answers, _ in found for score, _, _ in answers]
        np.testing.assert_allclose(made["score"], want, rtol=1e-5)
        for n, score in enumerate(want):
            path = [firsts[n // 3], *made["tokens"][n, :made["lengths"][n]]]
            total = sum(table[a, b] for a, b in zip(path, path[1:]))
            np.testing.assert_allclose(total / (len(path) - 1), score, rtol=1e-5)
        assert len(model.steps) == max(steps for _, steps in found)
        stopped |= {steps for _, steps in found}
    assert len(stopped) > 3 and min(stopped) < 8


def test_answers_that_do_not_exist_have_no_score(chain):
    model, params = chain
    made = generate(model, params, batch_of([[1]]), tokens=1, pad=9, stop=0,
                    choose=Beam(width=6, answers=6))
    assert made["tokens"][:, 0].tolist() == [2, 1, 0, 3, 9, 9]
    assert made["lengths"].tolist() == [1] * 4 + [0] * 2
    assert np.isfinite(made["score"]).tolist() == [True] * 4 + [False] * 2


def test_several_tokens_may_end_an_answer(chain):
    model, params = chain
    made = generate(model, params, batch_of([[2]]), tokens=6, stop=(0, 3), pad=9,
                    choose=Beam(width=2, answers=2, penalty=PowerPenalty(alpha=0.0)))
    assert made["tokens"][:, :3].tolist() == [[3, 9, 9], [2, 3, 9]]
    np.testing.assert_allclose(np.exp(made["score"]), [0.7, 0.15 * 0.7], rtol=1e-5)
    # however likely the ends are, the search goes on: where length pays, a long answer wins
    table = jnp.log(jnp.array([[0.4, 0.3, 0.2, 0.1]] * 4))
    made = generate(model, table, batch_of([[2]]), tokens=4, stop=(0, 1), choose=Beam(
        width=1, penalty=PowerPenalty(alpha=3.0), until="sure"))
    assert made["tokens"].tolist() == [[2, 2, 2, 0]]


def test_a_prompt_lies_in_the_cache_once_however_many_beams(tiny):
    """Forking moves no key: new ones go behind the old, and branches remember which are theirs."""
    small = tiny("vaswani")
    params = unstack(small.params)

    def start(params, batch):
        cache = small.model.open(params, batch, 8, slots=2 + 3 * 6)
        _, old = small.model.decode(params, cache, batch["tokens"])
        _, new = small.model.grow(params, small.model.split(old, 3), jnp.full((4, 3), 5),
                                  jnp.zeros((4, 3), jnp.int32), jnp.ones((4, 3), jnp.int32))
        _, new = small.model.grow(params, new, jnp.full((4, 3), 6), jnp.array([[2, 0, 2]] * 4),
                                  jnp.ones((4, 3), jnp.int32))
        return old, new

    old, new = jax.jit(start)(params, {"source_tokens": small.batch["source_tokens"][:4],
                                       "tokens": jnp.zeros((4, 2), jnp.int32)})
    for before, after in zip(old["layers"], new["layers"]):
        for part in ("key", "value"):
            np.testing.assert_array_equal(after["0_cross"][part], before["0_cross"][part])
            x, y = (entry["0_attention"][part] for entry in (before, after))
            assert x.shape == y.shape and x.shape[-1] == 20
            np.testing.assert_array_equal(x[..., :2], y[..., :2])
            assert (np.abs(y[..., 2:8]).max((0, 1, 2)) > 0).all() and not y[..., 8:].any()
    assert new["slot"] == 8 and new["next"].tolist() == [4] * 4
    assert new["positions"][0, :8].tolist() == [0, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(new["branches"][0, :, :8], np.array(
        [[1, 1, 0, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 1, 0], [1, 1, 0, 0, 1, 0, 0, 1]], bool))


def test_mistakes_are_refused(chain):
    model, params = chain
    with pytest.raises(UserError, match="3 answers are asked of 2 beams"):
        Beam(width=2, answers=3)
    with pytest.raises(UserError, match="knows its answer at the end"):
        next(stream(model, params, batch_of([[1]]), tokens=3, choose=Beam(width=2)))
