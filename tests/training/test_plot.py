"""`python -m transformer plot`: the picture holds the numbers of the log."""

import json
import math

import pytest

from transformer.error import UserError
from transformer.training.log import Log
from transformer.training.plot import command, curves, draw


def run(directory, steps=60):
    with Log(directory) as log:
        for n in range(1, steps + 1):
            log.write({"step": n, "loss": 5 / n, "grad_norm": math.nan if n == 3 else 1.0,
                       "learning_rate": 1e-3, "batch_hash": "ab"})
            if n % 20 == 0:
                log.write({"step": n, "validation_loss": 6 / n})
    return directory


def test_a_picture_and_its_numbers(tmp_path, capsys):
    run(tmp_path / "run")
    assert command([str(tmp_path / "run"), "--json", str(tmp_path / "out.json")]) == 0
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "curves.png")
    numbers = json.loads((tmp_path / "out.json").read_text())["run"]
    assert numbers["validation_loss"] == [[20, 0.3], [40, 0.15], [60, 0.1]]
    assert len(numbers["grad_norm"]) == 59  # the one that is not finite has no place


def test_panels_and_lines(tmp_path):
    figure = draw({"a": curves(run(tmp_path / "a")), "b": curves(run(tmp_path / "b", 5))})
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "loss (nats)", "learning rate", "gradient norm"]
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["a loss", "a validation_loss", "b loss"]
    raw = figure.axes[0].get_lines()[0]
    assert raw.get_ydata()[1] == 2.5 and len(raw.get_ydata()) == 60


def test_the_smoothed_curve_does_not_lag(tmp_path):
    with Log(tmp_path) as log:
        for n in range(600):
            log.write({"step": n, "loss": 700.0 - n + (-1) ** n})
    smooth = draw({"a": curves(tmp_path)}).axes[0].get_lines()[1]
    inner = slice(30, -30)
    assert abs(smooth.get_ydata() - (700.0 - smooth.get_xdata()))[inner].max() < 0.1


def test_stages_are_found_below_the_directory(tmp_path):
    run(tmp_path / "two words" / "pretrain")
    run(tmp_path / "two words" / "finetune")
    out = tmp_path / "new" / "p.png"
    command([str(tmp_path / "two words"), "--output", str(out), "--json", str(tmp_path / "o")])
    assert out.is_file()
    assert set(json.loads((tmp_path / "o").read_text())) == {
        "two words/pretrain", "two words/finetune"}


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    paths = [str(run(tmp_path / name, 5)) for name in ("a/pretrain", "b/pretrain", "b/finetune")]
    command([*paths, "--json", str(tmp_path / "o")])
    assert list(json.loads((tmp_path / "o").read_text())) == [*paths[:2], "finetune"]


@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_a_picture_of_a_kind_that_does_not_exist(tmp_path, name):
    run(tmp_path, 5)
    with pytest.raises(UserError, match=r"\.pdf, .*\.png"):
        command([str(tmp_path), "--output", str(tmp_path / name)])


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UserError, match="no metrics.jsonl"):
        command([str(tmp_path)])
    Log(tmp_path).close()
    with pytest.raises(UserError, match="no numbers"):
        command([str(tmp_path)])
