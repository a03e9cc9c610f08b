"""From an experiment to its data and its start: what is taken over, and what does not belong."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer import launch, wiring
from transformer.data.padding import Padded
from transformer.data.packing import Packed
from transformer.data.source import Jsonl, Text
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.nn.door import Model
from transformer.nn.head import Classes, Untied
from transformer.objectives.classify import Classify
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.objectives.span_corruption import SpanCorruption
from transformer.report import require_prompts
from transformer.tasks.classification import Classification
from transformer.tasks.summarisation import Summarisation
from transformer.training import paths
from transformer.training.checkpoint import Checkpoints
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import start
from transformer.zoo.bert import bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.vaswani import vaswani

TINY = gpt2(width=8, depth=1, heads=2, vocab=384, length=16)
CLASSIFIER = dataclasses.replace(TINY, heads=(*TINY.heads, ("classes", Classes(classes=3))))


def experiment(**fields):
    defaults = dict(model=TINY, data=Text(path="none"), objective=NextToken(), tokenizer=Bytes(),
                    rows=Packed(length=16), steps=4, batch=2,
                    optimizer=AdamW(learning_rate=Constant(peak=1.0)))
    return Experiment(**{**defaults, **fields})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """(a checkpoint whose average is not its parameters, the average)."""
    state = start(Model(TINY).init(jax.random.key(0)), AdamW(
        learning_rate=Constant(peak=1.0)).build(), 0, average=0.9)
    state["ema"] = jax.tree.map(lambda leaf: leaf + 1, state["params"])
    folder = tmp_path_factory.mktemp("base")
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(3, state, {"tokenizer": Bytes().train().save})
        checkpoints.wait()
        return checkpoints.path(3), state["ema"]


def test_transfer_takes_the_average_and_leaves_what_is_new(base):
    path, average = base
    params = Model(CLASSIFIER).init(jax.random.key(1))
    found, fresh = wiring.transfer(params, path)
    found, mine = paths.named(found), paths.named(params)
    assert fresh == ["heads_classes/classes", "heads_classes/classes_bias"]
    for name, leaf in paths.named(average).items():
        np.testing.assert_array_equal(found[name], leaf)
    for name in fresh:
        np.testing.assert_array_equal(found[name], mine[name])


def test_transfer_refuses_other_sizes_and_strangers(base):
    wider = gpt2(width=12, depth=1, heads=2, vocab=384, length=16)
    with pytest.raises(UserError, match=r"is \[.*\] there, but \[.*\] in this model; use the same"):
        wiring.transfer(Model(wider).init(jax.random.key(0)), base[0])
    with pytest.raises(UserError, match="shares no parameter"):
        wiring.transfer({"other": {"w": jnp.zeros(2)}}, base[0])


def test_a_start_from_other_pieces_is_refused(base):
    wiring.require_same_tokenizer(base[0], Bytes().train())
    with pytest.raises(UserError, match="its embeddings belong to other pieces"):
        wiring.require_same_tokenizer(base[0], Bytes(sentinels=4).train())


def test_a_run_that_goes_on_no_longer_needs_what_it_started_from(base, tmp_path):
    made = experiment(start_from=str(tmp_path / "gone"), tokenizer=None)
    with pytest.raises(UserError, match="gone"):
        wiring.beginning(made, tmp_path, tmp_path)
    assert wiring.beginning(made, base[0].parents[1], tmp_path) is None
    assert wiring.beginning(experiment(), tmp_path, tmp_path) is None


def test_every_table_of_ids_must_hold_the_tokenizer():
    tokenizer = Bytes().train()
    wiring.require_vocabulary(Model(TINY), tokenizer, NextToken())
    small = dataclasses.replace(TINY, heads=(("logits", Untied(vocab=tokenizer.size - 1)),))
    for spec in (small, gpt2(width=8, depth=1, heads=2, vocab=tokenizer.size - 1)):
        with pytest.raises(UserError, match=f"has {tokenizer.size} ids.*is {tokenizer.size - 1};"):
            wiring.require_vocabulary(Model(spec), tokenizer, NextToken())
    wiring.require_vocabulary(Model(TINY), tokenizer, SpanCorruption(vocab=384))
    with pytest.raises(UserError, match="sentinels need 385 ids.*is 384; set .* to at least 385"):
        wiring.require_vocabulary(Model(TINY), tokenizer, SpanCorruption(vocab=385))


@pytest.mark.parametrize("field, value", [
    ("data", Bytes()), ("tokenizer", NextToken()), ("rows", NextToken()), ("model", Bytes()),
    ("objective", Bytes()), ("task", NextToken()), ("validation", Bytes()), ("run", Bytes()),
])
def test_a_spec_of_another_kind_is_refused(field, value):
    wiring.require_kinds(experiment())
    with pytest.raises(UserError, match=f"^{field} is a {type(value).__name__}, but it must be a "):
        wiring.require_kinds(experiment(**{field: value}))


def summaries(tmp_path, **rows):
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": "abcdefghij" * 4, "summary": "xy"}) + "\n")
    made = experiment(model=vaswani(width=8, depth=1, heads=2, hidden=8, vocab=384),
                      data=Jsonl(path=str(path)), task=Summarisation(),
                      rows=Padded(length=8, **rows), objective=SequenceToSequence())
    return wiring.data_of(made, made.data, Bytes().train()).rows.example(0)


@pytest.mark.parametrize("size, kept", [(None, 8), (30, 30), (5, 5), (64, 41)])
def test_a_source_has_the_room_of_its_own_side(tmp_path, size, kept):
    example = summaries(tmp_path, **({"source_length": size} if size else {}))
    assert (example["source_segments"] > 0).sum() == kept  # 40 letters and eos, or what fits
    assert (example["segments"] > 0).sum() == 3


def test_records_that_fill_their_row_are_counted(tmp_path):
    path = tmp_path / "some.jsonl"
    texts = ["abc", "abcdefghijklmn", "abcdefghijklmnopq"]  # 14 letters fill a row of 16
    path.write_text("".join(json.dumps({"text": t, "label": "0"}) + "\n" for t in texts))
    made = experiment(model=CLASSIFIER, objective=Classify(), rows=Padded(length=16),
                      data=Jsonl(path=str(path)), task=Classification(classes=("0", "1", "2")))
    assert wiring.data_of(made, made.data, Bytes().train()).full == 2


def test_an_objective_needs_its_labels(tmp_path):
    (tmp_path / "text.txt").write_text("some words\n" * 20)
    made = experiment(objective=Classify(), data=Text(path=str(tmp_path / "text.txt")))
    data, _ = wiring.training_data(made, Bytes().train())
    with pytest.raises(UserError, match="Classify reads labels, which the rows of this data lack"):
        data.stream(made)


def test_prompts_are_looked_at_before_training():
    tokenizer = Bytes().train()
    require_prompts(experiment(prompts=("abc",), tokens=8), Model(TINY), tokenizer)
    with pytest.raises(UserError, match="longer than the context of 16 positions"):
        require_prompts(experiment(prompts=("abc",), tokens=14), Model(TINY), tokenizer)
    with pytest.raises(UserError, match="Encoder does not continue texts"):
        encoder = bert("tiny")
        require_prompts(experiment(prompts=("a",), model=encoder), Model(encoder), tokenizer)


def held(tmp_path, made):
    """DIR of a finished run."""
    launch.keep_config(tmp_path, made)
    (tmp_path / launch.SUMMARY).write_text("{}")
    (tmp_path / "checkpoints" / "00000004").mkdir(parents=True)
    return tmp_path


def test_a_run_is_finished_only_if_nothing_was_asked_that_it_has_not_found(tmp_path):
    directory = held(tmp_path, experiment())
    assert launch.finished(directory, experiment())
    assert launch.finished(directory, experiment(log_every=3, save_every=1))
    for more in (dict(steps=9), dict(test=Text(path="x")), dict(prompts=("a",)), dict(tokens=3),
                 dict(patience=1)):
        assert not launch.finished(directory, experiment(**more)), more


def test_a_longer_run_is_not_finished_while_it_runs(tmp_path):
    directory = held(tmp_path, experiment())
    launch.keep_config(directory, experiment(steps=9))
    assert not launch.finished(directory, experiment(steps=9))


def test_what_a_killed_first_save_left_is_no_run(tmp_path):
    launch.keep_config(tmp_path, experiment())
    (tmp_path / "checkpoints" / "00000004.tmp").mkdir(parents=True)
    launch.keep_config(tmp_path, experiment(batch=3))  # nothing is lost by the change
    (tmp_path / "checkpoints" / "00000004").mkdir()
    with pytest.raises(UserError, match="batch: 3 -> 2"):
        launch.keep_config(tmp_path, experiment())


def test_fresh_leaves_nothing_of_the_run_before(tmp_path):
    directory = held(tmp_path, experiment())
    for name in ("metrics.jsonl", "events.out.tfevents.1.x.1"):
        (directory / name).write_text("")
    wiring.forget(directory)
    assert list(directory.iterdir()) == []


def test_slices_hold_consecutive_rows():
    from transformer.ops.placement import Mesh

    batch = {"tokens": np.arange(12).reshape(6, 2)}
    placed = launch.place_batch(3, Mesh().build(jax.devices()[:1]), batch)
    np.testing.assert_array_equal(placed["tokens"], np.arange(12).reshape(3, 2, 2))


def test_other_data_than_the_checkpoints_is_refused(base):
    class Held:
        latest_good = staticmethod(lambda: 3)
        path = staticmethod(lambda step: base[0])
        restore = staticmethod(lambda step, state: state)

    (base[0] / "data.json").write_text(json.dumps({"fingerprint": "a" * 64, "counters": {"x": 1}}))
    assert launch.resume(Held, "state", None, "a" * 64) == (3, "state", {"x": 1}, [])
    with pytest.raises(UserError, match="was trained on other data"):
        launch.resume(Held, "state", None, "b" * 64)


def test_what_is_evaluated_is_the_average_where_there_is_one():
    class Stop:
        def poll(self):
            return None

    judge = lambda params, stopped: {"loss": params}  # noqa: E731
    state = {"params": 1.0, "ema": 2.0}
    for average, wanted in ((0.0, 1.0), (0.9, 2.0)):
        evaluate = launch.evaluation(judge, experiment(average=average), Stop)
        assert evaluate(state) == {"validation_loss": wanted}
