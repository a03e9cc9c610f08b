"""Weights & Biases: only when asked, with a clear line when it is missing."""

import sys
import types

import pytest

from transformer.error import UserError
from transformer.training.log import Log
from transformer.training.tracker import WandB


def test_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        WandB(tmp_path, "project")


def test_a_resumed_run_goes_on_in_the_same_place(tmp_path, monkeypatch):
    started, logged = [], []

    def init(**options):
        started.append(options)
        return types.SimpleNamespace(log=lambda numbers, step: logged.append((step, numbers)),
                                     finish=lambda: logged.append("finished"))

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    for _ in range(2):
        with Log(tmp_path / "run", mirrors=[WandB(tmp_path / "run", "project")]) as log:
            log.write({"step": 1, "loss": 0.5})
    WandB(tmp_path / "other", "project")
    first, second, other = (options["id"] for options in started)
    assert first == second != other and started[0]["resume"] == "allow"
    assert logged == 2 * [(1, {"loss": 0.5}), "finished"]


def test_a_refusal_is_one_line(tmp_path, monkeypatch):
    def init(**_):
        raise RuntimeError("no key\nsecond line")
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    with pytest.raises(UserError, match="^wandb: no key$"):
        WandB(tmp_path, "project")
