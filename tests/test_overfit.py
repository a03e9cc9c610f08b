"""Every recipe's tiny model learns one small batch by heart, by its own objective.

The floor of every term is 0 here: no two rows of the batch begin alike, so that whatever a model
sees of a row tells it which row that is, and nothing that it has to predict is left to chance.
Dropout and label smoothing, which raise the floor, are off.
"""

import dataclasses
import functools
import random
import string
from pathlib import Path

import jax
import pytest

from transformer.data.vocabulary import Bytes
from transformer.nn.door import Model
from transformer.training.config import stages
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.training.step import evaluate_step, start, train_step
from transformer.wiring import training_data

ROWS, LETTERS, STEPS, ENOUGH = 8, 30, 300, 0.05
RECIPES = sorted(path.stem for path in Path("configs/pretrain").glob("*.py")
                 if "@recipe(" in path.read_text())
QUICK = {"gpt2", "modernbert", "vaswani"}


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


def experiment(name, folder):
    """A recipe at size=tiny with rows of one text each, without label smoothing."""
    made, = stages(f"configs/pretrain/{name}.py:size=tiny,tokenizer={folder}", []).values()
    file = folder / ("own.txt" if made.task is None else "own.tsv")
    opening = bool(getattr(made.rows, "opening", None))
    rows = dataclasses.replace(made.rows, length=LETTERS + 1 + opening)  # 1: the end of a document
    objective = made.objective
    if hasattr(objective, "smoothing"):
        objective = dataclasses.replace(objective, smoothing=0.0)
    return dataclasses.replace(made, rows=rows, objective=objective, batch=ROWS, validation=None,
                               data=dataclasses.replace(made.data, path=str(file)))


def by_heart(experiment, tokenizer, freeze=()):
    """{term: nats for each prediction} on the batch, before and after learning it."""
    data, _ = training_data(experiment, tokenizer)
    batch = data.stream(experiment)[0]
    model, objective = Model(experiment.model), experiment.objective
    apply = lambda params, batch, rng=None, **how: model.apply(params, batch, **how)
    optimizer = AdamW(learning_rate=Constant(peak=3e-3, warmup=20), freeze=freeze).build()
    step = functools.partial(train_step, apply=apply, objective=objective, optimizer=optimizer)
    slices = {name: array[None] for name, array in batch.items()}

    @jax.jit
    def learn(state):
        return jax.lax.scan(lambda state, _: step(state, slices), state, length=STEPS)[0]

    @jax.jit
    def judge(params):
        return evaluate_step(params, batch, jax.random.key(1), apply=apply, objective=objective)

    state = start(jax.jit(model.init)(jax.random.key(0)), optimizer, seed=0)
    found = [judge(state["params"]), judge(learn(state)["params"])]
    return [{name: float(term.sum / term.weight) for name, term in terms.items()
             if term.coefficient} for terms in found]


@pytest.mark.parametrize("name", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in RECIPES])
def test_a_batch_is_learnt_by_heart(name, folder, monkeypatch):
    monkeypatch.setenv("TRANSFORMER_CACHE", str(folder))
    tokenizer = Bytes(sentinels=20).train()
    before, after = by_heart(experiment(name, folder), tokenizer)
    assert after.keys() == before.keys() and after
    print(name, before, after)
    assert min(before.values()) > 10 * ENOUGH
    assert max(after.values()) < ENOUGH, after
