"""Every recipe's tiny model learns one small batch by heart, by its own objective.

The floor of every term is 0 here: no two rows of the batch begin alike, so that whatever a model
sees of a row tells it which row that is, and nothing that it has to predict is left to chance.
Dropout and label smoothing, which raise the floor, are off, and so is the z-loss.

ELECTRA's discriminator judges tokens drawn anew at every update, but a row that it knows by heart
tells of any token whether it is the row's own: its floor is 0 whatever the generator draws. As a
generator that has learnt the batch draws nothing but what is right, so that all is real, the
discriminator is tried a second time beside one that learns nothing and is nearly always wrong.
"""

import dataclasses
import functools
import random
import string
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from transformer.data.vocabulary import Bytes
from transformer.nn.door import Model
from transformer.training.config import stages
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import start, train_step
from transformer.wiring import training_data

ROWS, LETTERS, STEPS, ENOUGH = 8, 30, 300, 0.05
RECIPES = sorted(path.stem for path in Path("configs/pretrain").glob("*.py")
                 if "@recipe(" in path.read_text())
QUICK = {"gpt2", "vaswani"}
PEAKS = {"electra": 6e-3, "rnn": 1.5e-2}  # of the learning rate; others 4e-3


def text(seed, first):
    """Four sentences of 30 letters, which begin with `first`."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(string.ascii_lowercase, k=n)) for n in (4, 4, 4, 3, 3, 3)]
    a, b, c, d, e, f = words
    return f"{first}{a}. {b} {c}. {d} {e}. {f}."[:LETTERS - 1] + "."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Text, pairs and a tokenizer."""
    folder = tmp_path_factory.mktemp("by_heart")
    texts = [text(n, first) for n, first in enumerate(string.ascii_uppercase[:2 * ROWS])]
    (folder / "own.txt").write_text("\n\n".join(texts[:ROWS]))
    pairs = zip(texts[:ROWS], texts[ROWS:])
    (folder / "own.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in pairs))
    Bytes(sentinels=20).train().save(folder)
    return folder


def experiment(recipe, folder):
    """A recipe at size=tiny with rows of one text each, without label smoothing."""
    name, _, more = recipe.partition(",")
    arguments = ",".join(filter(None, ("size=tiny", f"tokenizer={folder}", more)))
    made, = stages(f"configs/pretrain/{name}.py:{arguments}", []).values()
    file = folder / ("own.txt" if made.task is None else "own.tsv")
    around = sum(hasattr(made.rows, name) for name in ("opening", "closing"))
    rows = dataclasses.replace(made.rows, length=LETTERS + 1 + around)  # 1: the end of a document
    plain = {name: 0.0 for name in ("smoothing", "z") if hasattr(made.objective, name)}
    objective = dataclasses.replace(made.objective, **plain)
    return dataclasses.replace(made, rows=rows, objective=objective, batch=ROWS, validation=None,
                               data=dataclasses.replace(made.data, path=str(file)))


def by_heart(experiment, tokenizer, peak=4e-3, freeze=(), draw=True):
    """{term: nats for each prediction} on the batch, at the first and at the last of the updates.

    draw: whether every update draws anew what the objective draws.
    """
    data, _ = training_data(experiment, tokenizer)
    batch = data.stream(experiment)[0]
    model, objective = Model(experiment.model), experiment.objective
    apply = lambda params, batch, rng=None, **how: model.apply(params, batch, **how)
    optimizer = AdamW(learning_rate=Constant(peak=peak, warmup=20), b2=0.95, freeze=freeze).build()
    step = functools.partial(train_step, apply=apply, objective=objective, optimizer=optimizer)
    slices = {name: array[None] for name, array in batch.items()}

    @jax.jit
    def learnt(key):
        state = start(model.init(key), optimizer, seed=0)
        update = lambda state, n: step({**state, "step": n * draw}, slices)
        return jax.lax.scan(update, state, jnp.arange(STEPS))[1]

    metrics = learnt(jax.random.key(0))
    return [{name: float(metrics[name][n]) for name in objective.weights(batch)
             if name in metrics and not name.endswith(("accuracy", "detection"))}
            for n in (0, -1)]


@pytest.mark.parametrize("name", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.full)
    for name in (*RECIPES, "bert,objective=spans")])
def test_a_batch_is_learnt_by_heart(name, folder, monkeypatch):
    monkeypatch.setenv("TRANSFORMER_CACHE", str(folder))
    tokenizer = Bytes(sentinels=20).train()
    before, after = by_heart(experiment(name, folder), tokenizer, PEAKS.get(name, 4e-3))
    assert after.keys() == before.keys() and after
    assert min(before.values()) > 10 * ENOUGH
    assert max(after.values()) < ENOUGH, after


@pytest.mark.full
def test_the_discriminator_learns_beside_a_generator_that_does_not(folder, monkeypatch):
    """Its tokens are drawn once; the tables that it borrows stay too."""
    monkeypatch.setenv("TRANSFORMER_CACHE", str(folder))
    before, after = by_heart(experiment("electra", folder), Bytes(sentinels=20).train(),
                             freeze=("^generator/", "embedding/"), draw=False)
    assert after["masked"] == pytest.approx(before["masked"]) and after["masked"] > 5
    assert after["replaced"] < ENOUGH < before["replaced"]
