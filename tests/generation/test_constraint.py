"""Rules on the next token, by hand and against plain Python; and what generation makes of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.generation.beam import Beam, PowerPenalty
from transformer.generation.constraint import (Banned, ForcedFirst, ForcedLast, MinTokens, NoRepeat,
                                               Normalised, Repetition, Seen, constrained)
from transformer.generation.generate import Greedy, Sample, ending, generate
from transformer.generation.prompt import batch_of

NEVER = -np.inf
SCORES = jnp.array([[2.0, -1.0, 0.5, -0.25, 3.0], [-2.0, 1.0, -0.5, 0.25, -3.0]])
PROMPT = jnp.array([[-1, 1, 2], [0, 3, 3]])


def seen(new=(), most=9, stop=(0,), prompt=PROMPT):
    """What came before, if both rows have the same new tokens; 4 stands in the slots to come."""
    row = [*new, *[4] * (6 - len(new))]
    return Seen(prompt, jnp.array([row, row]), jnp.int32(len(new)), jnp.array(stop),
                jnp.int32(most))


def test_what_came_before_loses_score():
    """A positive score is divided, a negative one multiplied; padding (-1) is no token."""
    found = Repetition(penalty=2.0)(SCORES, seen())
    np.testing.assert_array_equal(found, [[2, -2, 0.25, -0.25, 3], [-4, 1, -0.5, 0.125, -3]])
    found = Repetition(penalty=2.0)(SCORES, seen(new=(4,)))
    np.testing.assert_array_equal(found, [[2, -2, 0.25, -0.25, 1.5], [-4, 1, -0.5, 0.125, -6]])


def test_no_end_before_enough_tokens():
    rule = MinTokens(tokens=2)
    for new, want in (((), NEVER), ((1,), NEVER), ((1, 1), 2.0)):
        found = np.asarray(rule(SCORES, seen(new, stop=(0, 3))))
        assert found[0, 0] == want and (found[0, 3] == NEVER) == (want == NEVER)
        np.testing.assert_array_equal(found[:, [1, 2, 4]], SCORES[:, np.array([1, 2, 4])])


def test_the_first_and_the_last_token_may_be_forced():
    both = (ForcedFirst(token=3), ForcedLast(tokens=(0, 2)))
    first = constrained(SCORES, both, seen(most=3))
    np.testing.assert_array_equal(first, [[NEVER, NEVER, NEVER, 0, NEVER]] * 2)
    np.testing.assert_array_equal(constrained(SCORES, both, seen((1,), most=3)), SCORES)
    last = constrained(SCORES, both, seen((1, 1), most=3))
    np.testing.assert_array_equal(last, [[0, NEVER, 0, NEVER, NEVER]] * 2)


def test_banned_tokens():
    found = Banned(tokens=(1, 4))(SCORES, seen())
    np.testing.assert_array_equal(np.isneginf(found), [[0, 1, 0, 0, 1]] * 2)


def test_what_is_left_adds_up_to_one_again():
    left = constrained(SCORES, (Banned(tokens=(0, 4)), Normalised()), seen())
    exp = np.exp([[-1, 0.5, -0.25], [1, -0.5, 0.25]])
    np.testing.assert_allclose(left[:, 1:4], np.log(exp / exp.sum(1, keepdims=True)), rtol=1e-5)
    nothing = constrained(SCORES, (Banned(tokens=(0, 1, 2, 3, 4)), Normalised()), seen())
    assert np.isneginf(nothing).all()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_run_comes_twice(size):
    """Against every run of the tokens so far, read off a list."""
    draw, V = np.random.default_rng(size), 3
    for count in range(6):
        new = draw.integers(0, V, 6).tolist()
        prompt = np.array([[-1, 1, 2], draw.integers(0, V, 3)])
        found = NoRepeat(size=size)(jnp.zeros((2, V)), seen(new[:count], prompt=jnp.array(prompt)))
        for row in range(2):
            ids = [t for t in prompt[row].tolist() if t >= 0] + new[:count]
            runs = [ids[n:n + size] for n in range(len(ids) - size + 1)]
            begun = ids[len(ids) - size + 1:]
            want = [len(ids) >= size - 1 and begun + [t] in runs for t in range(V)]
            assert np.isneginf(found[row]).tolist() == want, (ids, count)


def test_prompts_end_on_the_right():
    tokens, segments = (batch_of([[5, 6], [7], [1, 2, 3]])[name] for name in ("tokens", "segments"))
    want = [[-1, 5, 6], [-1, -1, 7], [1, 2, 3]]
    assert ending(jnp.array(tokens), jnp.array(segments)).tolist() == want


def test_greedy_answers_obey(chain):
    """1 -> 2 -> 3 -> 0 by itself; the log-probability stays the model's own."""
    model, params = chain
    how = dict(tokens=5, stop=0, pad=9, choose=Greedy())
    answer = lambda *rules, **more: generate(model, params, batch_of([[1]]), constraints=rules,
                                             **{**how, **more})
    made = answer(MinTokens(tokens=4))
    assert made["tokens"][0].tolist() == [2, 3, 1, 2, 3]
    want = np.log(0.7 * 0.7 * 0.25 * 0.7 * 0.7)
    np.testing.assert_allclose(made["log_probability"], [want], rtol=1e-5)
    assert answer(ForcedFirst(token=0))["tokens"][0].tolist() == [0, 9, 9, 9, 9]
    assert answer(ForcedLast(tokens=(1,)), tokens=2)["tokens"][0].tolist() == [2, 1]
    assert answer(Banned(tokens=(2, 0)))["tokens"][0].tolist() == [1] * 5
    # 2 of the prompt counts: 1 beats it, until it has come itself
    made = generate(model, params, batch_of([[2, 1]]), constraints=(Repetition(penalty=50.0),),
                    **{**how, "tokens": 2, "stop": None})
    assert made["tokens"][0].tolist() == [0, 3]


def test_searched_answers_obey(chain):
    model, params = chain
    how = dict(tokens=5, stop=0, pad=9)
    beam = Beam(width=3, answers=3, penalty=PowerPenalty(alpha=0.5))
    made = generate(model, params, batch_of([[1]]), choose=beam, **how,
                    constraints=(NoRepeat(size=1), MinTokens(tokens=2), ForcedFirst(token=3)))
    # 1 and 3 have come: 3, 2, 0 is the one answer that is left; its forced token costs nothing
    assert made["tokens"].tolist() == [[3, 2, 0, 9, 9], [9] * 5, [9] * 5]
    assert made["lengths"].tolist() == [3, 0, 0]
    steps = [float(params[pair]) for pair in ((1, 3), (3, 2), (2, 0))]
    np.testing.assert_allclose(made["log_probability"], [sum(steps), 0, 0], rtol=1e-5)
    np.testing.assert_allclose(made["score"], [sum(steps[1:]) / 3**0.5, NEVER, NEVER], rtol=1e-5)


def test_a_sample_obeys(chain):
    model, params = chain
    made = generate(model, params, batch_of([[1]]), tokens=6, stop=0, constraints=(
        Banned(tokens=(2,)), MinTokens(tokens=5)), choose=Sample(temperature=5.0, answers=50))
    assert set(made["tokens"][:, :5].ravel()) == {1, 3}
    assert set(made["tokens"][:, 5]) == {0, 1, 3}


def test_several_samples_are_rows_with_numbers_of_their_own(chain):
    model, params = chain
    several = generate(model, params, batch_of([[1], [2]]), tokens=8,
                       choose=Sample(answers=3, temperature=2.0))["tokens"]
    alone = generate(model, params, batch_of([[1]] * 3 + [[2]] * 3), tokens=8,
                     choose=Sample(temperature=2.0))["tokens"]
    np.testing.assert_array_equal(several, alone)
    assert len(set(map(tuple, several))) == 6


def test_a_penalty_out_of_range_is_refused():
    with pytest.raises(UserError, match="repetition penalty is 0.0; use a number above 0"):
        Repetition(penalty=0.0)
