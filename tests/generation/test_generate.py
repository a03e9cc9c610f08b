"""Generation against the full forward pass, and against a chain whose probabilities are known."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from families import DECODERS, TRANSLATORS, cells

from transformer.error import UserError
from transformer.generation.generate import Greedy, Sample, generate
from transformer.generation.prompt import batch_of, fit
from transformer.nn.context import Run
from transformer.nn.door import unstack

FAMILIES = cells(DECODERS + TRANSLATORS, ("gpt1", "gpt2", "llama", "vaswani"))
NEW = 10


def by_full_passes(small, batch, new):
    """Greedy continuations [B, new] and their log-probabilities; a whole pass for each token."""
    lengths = batch["segments"].sum(1)
    room = int(lengths.max()) + new
    tokens = np.zeros((len(lengths), room), np.int32)
    tokens[:, :batch["tokens"].shape[1]] = batch["tokens"] * batch["segments"]
    rows, nats = np.arange(len(lengths)), np.zeros(len(lengths))
    for n in range(new):
        segments = (np.arange(room) < lengths[:, None] + n).astype(np.int32)
        logits = small.forward(small.params, {**batch, "tokens": tokens, "segments": segments})
        last = np.asarray(jax.nn.log_softmax(logits["logits"]))[rows, lengths - 1 + n]
        tokens[rows, lengths + n] = last.argmax(1)
        nats += last.max(1)
    return np.stack([tokens[rows, lengths + n] for n in range(new)], 1), nats


@pytest.mark.parametrize("name", FAMILIES)
def test_cached_greedy_is_the_argmax_of_full_passes(tiny, prompts, name):
    small = tiny(name)
    batch = prompts(small)
    made = generate(small.model, unstack(small.params), batch, tokens=NEW)
    want, nats = by_full_passes(small, batch, NEW)
    np.testing.assert_array_equal(made["tokens"], want)
    np.testing.assert_allclose(made["log_probability"], nats, rtol=1e-5)
    assert made["lengths"].tolist() == [NEW] * 4


CHOICES = {"greedy": Greedy(), "sample": Sample(temperature=1.5, top_k=100, top_p=0.95)}


@pytest.mark.parametrize("name,how", [
    *(pytest.param(*family.values, "greedy", marks=family.marks) for family in FAMILIES),
    ("gpt2", "sample")])
def test_a_row_of_a_batch_is_the_row_alone(tiny, prompts, name, how):
    small = tiny(name)
    batch, params, choose = prompts(small), unstack(small.params), CHOICES[how]
    together = generate(small.model, params, batch, tokens=NEW, choose=choose)
    for n in range(4):
        row = {key: value[n:n + 1] for key, value in batch.items()}
        valid = int(row["segments"].sum())
        row = {**row, "tokens": row["tokens"][:, :valid], "segments": row["segments"][:, :valid]}
        alone = generate(small.model, params, {**row, "index": np.array([n])}, tokens=NEW,
                         choose=choose)
        np.testing.assert_array_equal(alone["tokens"][0], together["tokens"][n])
        np.testing.assert_allclose(alone["log_probability"][0], together["log_probability"][n],
                                   rtol=1e-5)


def test_bfloat16_reaches_the_model(tiny, prompts):
    small = tiny("gpt2")
    batch, params = prompts(small), unstack(small.params)
    exact = generate(small.model, params, batch, tokens=2)["log_probability"]
    rounded = generate(small.model, params, batch, tokens=2,
                       run=Run(dtype="bfloat16"))["log_probability"]
    assert rounded.dtype == np.float32 and (exact != rounded).any()
    np.testing.assert_allclose(exact, rounded, rtol=0.05)


def test_a_row_stops_and_is_padded(chain):
    model, params = chain
    made = generate(model, params, batch_of([[1], [3], [2]]), tokens=6, stop=0, pad=9)
    # 1 -> 2 -> 3 -> 0
    assert made["tokens"].tolist() == [[2, 3, 0, 9, 9, 9], [0, 9, 9, 9, 9, 9], [3, 0, 9, 9, 9, 9]]
    assert made["lengths"].tolist() == [3, 1, 2]
    want = [np.log(0.7) * 2 + np.log(0.55), np.log(0.55), np.log(0.7) + np.log(0.55)]
    np.testing.assert_allclose(made["log_probability"], want, rtol=1e-5)


def test_the_loop_ends_when_all_rows_are_done(chain):
    model, params = chain
    generate(model, params, batch_of([[1], [2]]), tokens=50, stop=0)
    jax.effects_barrier()
    assert len(model.steps) == 3  # the prompt, and two tokens before the last 0
    generate(model, params, batch_of([[1], [2]]), tokens=50)
    jax.effects_barrier()
    assert len(model.steps) == 3 + 50


def test_a_row_without_tokens_gives_nothing_and_holds_nobody_up(chain):
    model, params = chain
    made = generate(model, params, batch_of([[], [2]]), tokens=50, stop=0)
    jax.effects_barrier()
    assert made["lengths"].tolist() == [0, 2] and not made["tokens"][0].any()
    assert made["log_probability"][0] == 0
    assert len(model.steps) == 2
    prompts = {**batch_of([[1], [2]]), **batch_of([[2], []], "source_")}
    assert generate(model, params, prompts, tokens=5)["lengths"].tolist() == [5, 0]


def test_the_vocabulary_may_be_shorter_than_the_table(chain):
    model, params = chain
    made = generate(model, params, batch_of([[1], [2]]), tokens=8, vocab=3)
    assert made["tokens"].max() == 2
    want = np.log(0.7 / 0.95) + 7 * np.log(0.15 / 0.30)
    np.testing.assert_allclose(made["log_probability"][0], want, rtol=1e-5)


def sampled(chain, key, rows, **how):
    model, params = chain
    return generate(model, params, batch_of([[0]] * rows), tokens=12, key=jax.random.key(key),
                    choose=Sample(**how))["tokens"]


def test_a_seed_is_a_result(chain):
    first = sampled(chain, 1, 16)
    np.testing.assert_array_equal(first, sampled(chain, 1, 16))
    assert (first != sampled(chain, 2, 16)).any()
    assert len({tuple(row) for row in first.tolist()}) > 8  # rows differ
    np.testing.assert_array_equal(first[:5], sampled(chain, 1, 5))  # whoever is beside them


def test_every_step_is_drawn_from_the_models_own_probabilities(chain):
    drawn = sampled(chain, 0, 3000)
    before = np.concatenate([np.zeros((3000, 1), int), drawn[:, :-1]], 1)
    for last in range(4):
        found = np.bincount(drawn[before == last], minlength=4)
        want = np.exp(np.array(chain[1][last]))
        error = 3.5 * np.sqrt(want * (1 - want) / found.sum())  # 16 of them: 1 in 130 runs misses
        assert (np.abs(found / found.sum() - want) < error).all()


def test_cold_sampling_is_greedy(chain):
    model, params = chain
    greedy = generate(model, params, batch_of([[0]] * 3), tokens=12)["tokens"]
    np.testing.assert_array_equal(sampled(chain, 0, 3, temperature=1e-9), greedy)


def test_log_probability_is_the_models_whatever_is_chosen(chain):
    model, params = chain
    made = generate(model, params, batch_of([[0]]), tokens=12, choose=Sample(temperature=9.0))
    path = [0, *made["tokens"][0]]
    want = sum(float(params[a, b]) for a, b in zip(path, path[1:]))
    np.testing.assert_allclose(made["log_probability"][0], want, rtol=1e-5)


def test_prompts_of_similar_length_share_a_program(tiny, caplog):
    small = tiny("gpt2")
    params = unstack(small.params)
    row = np.asarray(small.batch["tokens"])[:2]
    generate(small.model, params, {"tokens": row[:, :9]}, tokens=20)
    with jax.log_compiles():
        for length, new in ((9, 20), (5, 18), (12, 17)):
            made = generate(small.model, params, {"tokens": row[:, :length]}, tokens=new, stop=3)
            assert made["tokens"].shape == (2, new)
        assert not [r for r in caplog.records if "Compiling" in r.message], caplog.text
        generate(small.model, params, {"tokens": row[:, :9]}, tokens=40)
    assert [r for r in caplog.records if "Compiling" in r.message]  # the log is there to be read


def test_prompt_and_new_tokens_may_fill_the_context(tiny):
    """The last position is reached, whatever the sizes are rounded to: 64 positions, 57 + 7."""
    small = tiny("gpt2")
    tokens = np.resize(np.asarray(small.batch["tokens"]), (1, 57))
    batch = {"tokens": tokens, "segments": np.ones_like(tokens)}
    made = generate(small.model, unstack(small.params), batch, tokens=7)
    np.testing.assert_array_equal(made["tokens"], by_full_passes(small, batch, 7)[0])


def test_padding_on_the_right_takes_no_context(tiny):
    small = tiny("gpt2")
    tokens = np.resize(np.asarray(small.batch["tokens"]), (1, 60))
    segments = (np.arange(60) < 20).astype(np.int32)[None]
    made = generate(small.model, unstack(small.params), {"tokens": tokens, "segments": segments},
                    tokens=44)
    assert made["lengths"].tolist() == [44]


def test_padding_may_stand_on_the_left(tiny, prompts):
    small = tiny("vaswani")
    right, params = prompts(small), unstack(small.params)
    shift = lambda x_BT, n_BT: np.stack([np.roll(x, len(x) - sum(n)) for x, n in zip(x_BT, n_BT)])
    left = {name: shift(value, right[name.replace("tokens", "segments")])
            for name, value in right.items()}
    assert not left["segments"][1, :-1].any()
    one, other = (generate(small.model, params, batch, tokens=3) for batch in (left, right))
    np.testing.assert_array_equal(one["tokens"], other["tokens"])
    np.testing.assert_array_equal(one["log_probability"], other["log_probability"])


@pytest.mark.parametrize("prompt,tokens,message", [
    (12, 4, r"prompt is longer than the context: it has 12 tokens, the model 12 .* at most 11"),
    (10, 3, r"10 tokens of prompt and 3 new ones .* context of 12 .* at most 2 new"),
    (5, 0, r"0 new tokens .* at least 1"),
])
def test_more_than_the_context_is_refused(limited, prompt, tokens, message):
    with pytest.raises(UserError, match=message):
        generate(limited(12), None, batch_of([[1] * prompt]), tokens=tokens)


def test_sizes_are_rounded_up_a_little():
    from transformer.generation.prompt import _round

    sizes = [_round(n, None) for n in range(1, 5000)]
    assert all(n <= size <= max(n + 15, n * 1.25) for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 32
    assert _round(50, 60) == 60 and _round(60, 60) == 60


def test_fit_knows_the_length_of_the_sources_own_positions(limited):
    model = limited(64)
    spec = SimpleNamespace(embedding=model.spec.embedding,
                           source_embedding=limited(18).spec.embedding)
    batch = {**batch_of([[1]]), **batch_of([[5] * 17], "source_")}
    fitted, _ = fit(SimpleNamespace(spec=spec), batch, 20)
    assert fitted["source_tokens"].shape == (1, 18)
    assert fit(model, batch, 20)[0]["source_tokens"].shape == (1, 32)


def test_fit_rounds_and_pads(limited):
    batch = {**batch_of([[1, 2, 3], [4]]), **batch_of([[5], [6, 7]], "source_")}
    fitted, capacity = fit(limited(None), batch, 20)
    assert capacity == 32 and fitted["tokens"].shape == fitted["source_tokens"].shape == (2, 16)
    assert fitted["segments"].sum(1).tolist() == [3, 1]
    assert fitted["source_segments"].sum(1).tolist() == [1, 2]
    assert fitted["index"].tolist() == [0, 1]
