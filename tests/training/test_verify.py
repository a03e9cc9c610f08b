"""`python -m transformer verify`: every step below a directory, what is wrong, and a status."""

import json

import pytest

from transformer.error import UserError
from transformer.training import manifest
from transformer.training.verify import command


@pytest.fixture
def steps(tmp_path):
    made = [tmp_path / "run" / stage / "checkpoints" / "00000010" for stage in ("a", "b")]
    for step in made:
        step.mkdir(parents=True)
        (step / "spec.json").write_text("{}")
        manifest.write(step, {"step": 10})
    return made


def test_all_good(tmp_path, steps, capsys):
    assert command([str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{step}: good" for step in steps]
    assert command([str(steps[0])]) == 0


def test_damage_is_named(tmp_path, steps, capsys):
    (steps[1] / "spec.json").write_text("[]")
    (steps[0] / manifest.NAME).unlink()
    assert command([str(tmp_path / "run"), "--json", str(tmp_path / "out.json")]) == 1
    out = capsys.readouterr().out
    assert "damaged" in out and f"  {steps[1] / 'spec.json'}: sha256 differs" in out
    report = json.loads((tmp_path / "out.json").read_text())
    assert [len(report[str(step)]) for step in steps] == [1, 1]
    assert command([str(steps[1])]) == 1


def test_a_single_step_that_lost_its_manifest(steps):
    (steps[0] / manifest.NAME).unlink()
    assert command([str(steps[0])]) == 1


def test_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no checkpoint here"):
        command([str(tmp_path)])
