"""Every config: it builds, is a plain value, and takes its arguments from the command line."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from transformer import kinds
from transformer.beginning import begin, planned
from transformer.data.chunks import Chunks
from transformer.data.source import Text
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.launch import files
from transformer.loaded import architecture
from transformer.nn.door import Model
from transformer.nn.head import Classes
from transformer.nn.model import Decoder
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.spec import difference, from_json, to_json
from transformer.training.checkpoint import Checkpoints
from transformer.training.config import stages
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.restore import restore_params
from transformer.training.schedule import Constant
from transformer.wiring import require_kinds, transfer
from transformer.zoo import electra
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2

CONFIGS = sorted(str(path) for path in Path("configs").rglob("*.py")
                 if "def experiment(" in path.read_text())
LABELLED = "text,label\n" + "good,pos\nbad,neg\n" * 20


def checkpoint(directory, model, objective):
    """A step of a run that has not learnt anything."""
    experiment = Experiment(model=model, data=Text(path="unread"), tokenizer=Bytes(),
                            rows=Chunks(length=16), objective=objective,
                            optimizer=AdamW(learning_rate=Constant(peak=1e-3)), steps=1, batch=2)
    optimizer, mesh = experiment.optimizer.build(), experiment.mesh.build()
    abstract = planned(Model(model), optimizer, experiment, mesh)
    state, _ = begin(Model(model), optimizer, experiment, None, abstract)
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(1, state, files(experiment, Bytes().train(), "", {}))
    return directory


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    model = gpt2(width=16, depth=1, heads=2, vocab=384, length=32)
    return checkpoint(tmp_path_factory.mktemp("decoder"), model, NextToken())


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    model = bert(width=16, depth=1, heads=2, vocab=384, length=32, outputs=(MASKED,), pooler=False)
    return checkpoint(tmp_path_factory.mktemp("encoder"), model, MaskedLM())


@pytest.fixture
def made(decoder, tmp_path):
    """A config's experiments, with no arguments but those that it cannot do without."""
    (tmp_path / "train.csv").write_text(LABELLED)
    needs = {"wikitext2": "folder=data", "multi30k": "folder=data",
             "table": f"train={tmp_path}/train.csv,start={decoder},classes=(neg,pos)"}

    def call(path):
        argument = needs.get(Path(path).stem)
        return stages(f"{path}:{argument}" if argument else path, [])

    return call


@pytest.mark.parametrize("path", CONFIGS)
def test_a_config_is_a_value_that_can_be_stored(path, made):
    kinds.register()
    for experiment in made(path).values():
        assert from_json(json.loads(json.dumps(to_json(experiment)))) == experiment
        require_kinds(experiment)


@pytest.mark.parametrize("path", CONFIGS)
def test_the_model_of_a_config_fits_its_rows_and_tokenizer(path, made):
    for experiment in made(path).values():
        model = Model(experiment.model)
        assert model.count() > 0
        limit = experiment.model.embedding.position.limit()
        assert limit is None or experiment.rows.length <= limit
        ids = getattr(experiment.tokenizer, "vocab", None)
        assert ids is None or ids <= experiment.model.embedding.vocab


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_a_table_gets_the_checkpoints_model(kind, request, tmp_path):
    start, train = request.getfixturevalue(kind), tmp_path / "train.csv"
    train.write_text(LABELLED)
    argument = f"train={train},start={start},classes=(neg,pos),batch=4"
    made, = stages(f"configs/finetune/table.py:{argument}", []).values()
    old = architecture(start)
    assert made.model.embedding == old.embedding and made.model.stack == old.stack
    assert [name for name, _ in made.model.heads] == [old.heads[0][0], "classes"]
    assert (made.objective.auxiliary > 0) == isinstance(old, Decoder)
    assert (made.steps, made.evaluate_every, made.rows.length) == (27, 9, 32)  # 36 of 40 records
    params = jax.jit(Model(made.model).init)(jax.random.key(0))
    base = start / "checkpoints/00000001"
    assert {name.split("/")[0] for name in transfer(params, base)[1]} == {"heads_classes"}


def test_models_compared_on_multi30k_differ_in_what_they_are_called_for():
    made = {name: stages(f"configs/pretrain/multi30k.py:folder=x,model={name}", [])[""]
            for name in ("vaswani", "rnn", "rnn_attention")}
    fields = lambda a, b: {line.split(":")[0] for line in difference(made[a], made[b])}
    assert fields("rnn", "rnn_attention") == {"model.reading", "model.start", "model.attention"}
    assert fields("vaswani", "rnn") == {
        "model", "steps", *(f"optimizer.learning_rate.{n}" for n in ("peak", "steps", "final"))}


def test_an_encoder_takes_the_discriminator_of_a_pair(tmp_path):
    sizes = dict(width=16, depth=1, heads=2, rank=8, vocab=384, length=32)
    pair = electra.electra(**sizes, generator=0.5)
    base = checkpoint(tmp_path / "pair", pair, MaskedLM()) / "checkpoints/00000001"
    (tmp_path / "train.csv").write_text(LABELLED)
    argument = f"train={tmp_path}/train.csv,start={tmp_path}/pair,classes=(neg,pos)"
    made, = stages(f"configs/finetune/table.py:{argument}", []).values()
    kept = dataclasses.replace(pair.discriminator, heads=(
        *pair.discriminator.heads, ("classes", Classes(classes=2))))
    assert made.model == kept and made.objective.auxiliary == 0
    params = jax.jit(Model(kept).init)(jax.random.key(1))
    taken, fresh = transfer(params, base)
    assert {name.split("/")[0] for name in fresh} == {"heads_classes"}
    stored = restore_params(base, Model(pair).shapes(), average=False)
    for path in (("embedding", "tokens"), ("stack", "segment_0", "0_attention", "query")):
        mine, theirs = taken, stored["discriminator"]
        for name in path:
            mine, theirs = mine[name], theirs[name]
        np.testing.assert_array_equal(mine, theirs)
    whole, fresh = transfer(jax.jit(Model(pair).init)(jax.random.key(1)), base)
    assert fresh == []


def refused(config, words):
    with pytest.raises(UserError) as raised:
        stages(config, [])
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("config, words", [
    ("configs/pretrain/wikitext2.py", ["folder", "folder=VALUE"]),
    ("configs/pretrain/wikitext2.py:folder=x,model=grt", ["'gpt'", "'bert'"]),
    ("configs/pretrain/gpt2.py:size=huge", ["size=huge", "'small'"]),
    ("configs/pretrain/gpt2.py:steps=many", ["steps=many", "int"]),
    ("configs/finetune/labels.py:task=clasification", ["task=clasification", "'classification'"]),
    ("configs/quickstart.py:sed=1", ["sed", "did you mean seed"]),
])
def test_a_wrong_argument_of_a_config(config, words):
    refused(config, words)


@pytest.mark.parametrize("name, text, words", [
    ("notes.txt", "some text", ["notes.txt is no config", "gpt2.py"]),
    ("a.py", "x = 1\n", ["no function `experiment`"]),
    ("b.py", "def experiment():\n    return 3\n", ["returns 3"]),
    ("c.py", "import nowhere\n", ["c.py:1", "No module named 'nowhere'"]),
    ("d.py", "def experiment():\n    return name\n", ["d.py:2", "name 'name' is not defined"]),
    ("e.py", "def experiment(:\n", ["e.py:1", "SyntaxError"]),
    ("f.py", "from transformer.training.schedule import Constant\n\n\ndef experiment():\n"
     "    return Constant(peek=1.0)\n", ["f.py:5", "'peek'"]),
])
def test_a_config_file_with_a_mistake(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    refused(str(path), words)


def test_a_tuple_is_one_argument(tmp_path):
    path = tmp_path / "g.py"
    path.write_text("def experiment(classes: tuple[str, ...], seed: int = 0):\n"
                    "    raise KeyError(classes, seed)\n")
    with pytest.raises(KeyError) as raised:
        stages(f"{path}:classes=(no,yes),seed=3", [])
    assert raised.value.args == (("no", "yes"), 3)
