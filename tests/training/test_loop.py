"""The loop by itself: what it evaluates, saves, counts and tells, with a step that only counts."""

import contextlib
import math

import jax.numpy as jnp
import pytest

from transformer.error import UserError
from transformer.spec import Spec
from transformer.training.experiment import Experiment, lower_is_better
from transformer.training.loop import Doors, Loop, fresh_counters
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine


class Nothing(Spec):
    """Stands for what the loop does not look at."""


class Stop:
    """Asks to stop when the step number `after` has begun."""

    def __init__(self, after=None):
        self.after, self.asked, self.hurried = after, False, []

    @contextlib.contextmanager
    def at_once(self):
        self.hurried.append(True)
        yield
        self.hurried.append(False)


class Checkpoints:
    def __init__(self):
        self.saved, self.times, self.checked = {}, [], 0

    def save(self, step, state, files, metric=None):
        self.saved[step] = (state, files, metric)
        self.times.append(step)

    def check(self):
        self.checked += 1


class Log(list):
    def write(self, record):
        self.append(record)

    def sync(self):
        self.append("sync")


def experiment(**fields):
    defaults = dict(model=Nothing(), data=Nothing(), objective=Nothing(), rows=Nothing(),
                    tokenizer=Nothing(), steps=10, batch=2, log_every=1,
                    optimizer=AdamW(learning_rate=WarmupCosine(peak=1.0, warmup=5, steps=10)))
    return Experiment(**{**defaults, **fields})


def run(made, start=0, stop=None, losses=(), bad=(), counters=None):
    """(loop, checkpoints, log, state, done); the state is the number of the last batch."""
    stop, checkpoints, log = stop or Stop(), Checkpoints(), Log()
    losses = iter(losses)

    def step(state, batch):
        assert state == batch["number"]  # every batch once, in order
        if stop.after == batch["number"] + 1:
            stop.asked = True
        skipped = step.in_a_row = step.in_a_row + 1 if batch["number"] in bad else 0
        return state + 1, {"loss": jnp.float32(100 + batch["number"]),
                           "in_a_row": jnp.int32(skipped), "grad_norm": jnp.float32(1)}

    step.in_a_row = 0

    def evaluate(state):
        value = next(losses)
        return None if value is None else {"validation_loss": value, "validation_accuracy": -value}

    doors = Doors(step=step, place=lambda batch: batch, units=lambda batch: (10.0, 4.0),
                  digest=lambda batch: f"hash{batch['number']}", files=lambda counters: counters,
                  evaluate=evaluate if made.validation else None)
    loop = Loop(made, doors, checkpoints, log, stop, counters or fresh_counters())
    batches = ((n, {"number": n}) for n in range(start, 10**6))
    state, done = loop.run(start, start, batches)
    return loop, checkpoints, log, state, done


def steps_of(log, key):
    return [record["step"] for record in log if record != "sync" and key in record]


def test_every_step_is_told_with_what_it_read_and_its_own_rate():
    made = experiment()
    loop, checkpoints, log, state, done = run(made)
    records = [record for record in log if record != "sync"]
    assert (state, done) == (10, 10)
    assert [r["step"] for r in records] == list(range(1, 11))
    assert [r["loss"] for r in records] == [100 + n for n in range(10)]
    assert [r["batch_hash"] for r in records] == [f"hash{n}" for n in range(10)]
    assert [r["data_units"] for r in records] == [10.0 * n for n in range(1, 11)]
    assert [r["optimisation_units"] for r in records] == [4.0 * n for n in range(1, 11)]
    schedule = made.optimizer.learning_rate
    assert [r["learning_rate"] for r in records] == [float(schedule(n)) for n in range(10)]
    assert checkpoints.checked == 10


def test_the_log_is_thinned_but_the_counting_is_not():
    _, checkpoints, log, _, _ = run(experiment(log_every=4))
    assert steps_of(log, "loss") == [4, 8, 10]  # the last is told because it is saved
    assert log[-2]["data_units"] == 100.0 and log[-1] == "sync"


def test_checkpoints_come_when_due_and_carry_the_counters():
    _, checkpoints, _, _, _ = run(experiment(save_every=4))
    assert sorted(checkpoints.saved) == [4, 8, 10]
    state, counters, metric = checkpoints.saved[8]
    assert state == 8 and counters["data_units"] == 80.0 and metric is None


def test_evaluations_decide_the_best():
    made = experiment(evaluate_every=3, validation=Nothing())
    loop, checkpoints, log, _, _ = run(made, losses=[3.0, 2.0, 2.5, 4.0])
    assert steps_of(log, "validation_loss") == [3, 6, 9, 10]
    # whatever was best so far is saved, also where no checkpoint is due
    assert {s: kept[2] for s, kept in checkpoints.saved.items()} == {3: 3.0, 6: 2.0, 10: 4.0}
    assert loop.counters["best"] == 2.0 and loop.counters["stale"] == 2


def test_a_metric_that_is_no_loss_is_better_when_it_is_higher():
    made = experiment(evaluate_every=3, validation=Nothing(), best="validation_accuracy")
    loop, *_ = run(made, losses=[3.0, 2.0, 2.5, 4.0])
    assert loop.counters["best"] == -2.0


def test_patience_ends_the_run_and_leaves_a_checkpoint_of_the_best():
    made = experiment(evaluate_every=1, validation=Nothing(), patience=2)
    _, checkpoints, _, _, done = run(made, losses=[3.0, 2.0, 2.5, 2.5, 9.0])
    assert done == 4
    assert {s: kept[2] for s, kept in checkpoints.saved.items()} == {1: 3.0, 2: 2.0, 4: 2.5}


@pytest.mark.parametrize("metric", ["validation_loss", "validation_bits_per_byte",
                                    "validation_word_perplexity"])
def test_losses_and_their_kin_are_better_when_lower(metric):
    assert lower_is_better(metric) and not lower_is_better("validation_accuracy")


def test_a_loss_that_is_no_number_is_never_the_best():
    made = experiment(evaluate_every=3, validation=Nothing())
    loop, checkpoints, *_ = run(made, losses=[math.nan, 2.0, math.inf, 3.0])
    assert loop.counters["best"] == 2.0 and loop.counters["stale"] == 2
    assert {s: kept[2] for s, kept in checkpoints.saved.items()} == {6: 2.0, 10: 3.0}


def test_an_unknown_deciding_metric_is_an_error_with_the_nearest():
    made = experiment(evaluate_every=3, validation=Nothing(), best="validation_acuracy")
    with pytest.raises(UserError, match="validation_acuracy.*did you mean validation_accuracy"):
        run(made, losses=[1.0])


def test_the_time_of_all_sessions_is_added_up():
    _, checkpoints, *_ = run(experiment(), counters={**fresh_counters(), "seconds": 1000.0})
    assert 1000 < checkpoints.saved[10][1]["seconds"] < 1060


def test_a_signal_saves_the_step_it_came_in():
    stop = Stop(after=7)
    _, checkpoints, log, _, done = run(experiment(save_every=4), stop=stop)
    assert done == 7 and sorted(checkpoints.saved) == [4, 7]
    assert steps_of(log, "loss")[-1] == 7
    assert stop.hurried == [True, False]  # only the first step, which compiles, may be cut short


def test_a_signal_right_after_a_save_saves_nothing_twice():
    _, checkpoints, _, _, _ = run(experiment(save_every=4), stop=Stop(after=4))
    assert checkpoints.times == [4]


def test_an_evaluation_that_a_signal_cut_short_is_made_up_for():
    made = experiment(evaluate_every=5, validation=Nothing())
    _, checkpoints, log, _, done = run(made, stop=Stop(after=5), losses=[None])
    assert done == 5 and steps_of(log, "validation_loss") == []
    counters = checkpoints.saved[5][1]
    _, _, log, _, _ = run(made, start=5, losses=[1.0, 2.0], counters=dict(counters))
    assert steps_of(log, "validation_loss") == [5, 10]
    _, _, log, _, _ = run(made, start=5, losses=[2.0], counters={**counters, "evaluated": 5})
    assert steps_of(log, "validation_loss") == [10]


def test_bad_updates_are_told_counted_and_do_not_move_the_schedule():
    made = experiment(log_every=0, max_skipped=3)
    _, checkpoints, log, _, _ = run(made, bad=(2, 3))
    assert steps_of(log, "loss") == [3, 4, 10]
    assert [r["skipped"] for r in log if r != "sync"] == [1, 2, 0]
    assert checkpoints.saved[10][1]["skipped"] == 2
    schedule = made.optimizer.learning_rate
    assert [r["learning_rate"] for r in log if r != "sync"] == [
        float(schedule(2)), float(schedule(2)), float(schedule(7))]


def test_too_many_bad_updates_in_a_row_end_the_run_unsaved():
    with pytest.raises(UserError, match="step 5: 3 updates in a row .* nothing is saved yet"):
        run(experiment(max_skipped=3), bad=(2, 3, 4))
