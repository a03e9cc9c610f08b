"""Any change to any file of a checkpoint shows: flipped bits, cut ends, missing files."""

import json
import shutil

import numpy as np
import pytest

from transformer.error import UserError
from transformer.training import manifest


@pytest.fixture
def step(tmp_path):
    """A directory with a manifest over three files."""
    folder = tmp_path / "00000001"
    (folder / "state" / "d").mkdir(parents=True)
    (folder / "state" / "d" / "0").write_bytes(np.random.default_rng(0).bytes(9000))
    (folder / "spec.json").write_text('{"kind": "Ä"}')
    (folder / "empty").touch()
    manifest.write(folder, {"step": 1, "metric": {"validation_loss": 1.5}})
    return folder


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_good_as_written(step):
    assert manifest.problems(step) == []
    facts = manifest.read(step)
    assert (facts["step"], facts["metric"]) == (1, {"validation_loss": 1.5})
    assert set(facts["files"]) == {"state/d/0", "spec.json", "empty"}
    assert facts["files"]["state/d/0"][0] == 9000 and "jax" in facts["versions"]


def test_one_flipped_bit_anywhere_is_seen_and_its_file_named(step):
    rng = np.random.default_rng(1)
    for _ in range(200):
        path = rng.choice([p for p in files(step) if p.stat().st_size])
        bit = int(rng.integers(8 * path.stat().st_size))
        flip(path, bit)
        found = manifest.problems(step)
        assert len(found) == 1 and str(path) in found[0], (path, bit, found)
        flip(path, bit)
    assert manifest.problems(step) == []


@pytest.mark.parametrize("cut", [1, 4096, 0.5])
@pytest.mark.parametrize("name", ["state/d/0", manifest.NAME])
def test_a_cut_end_is_seen(step, name, cut):
    data = (step / name).read_bytes()
    lost = min(cut, len(data)) if cut >= 1 else int(len(data) * cut)
    (step / name).write_bytes(data[:len(data) - lost])
    found = manifest.problems(step)
    assert len(found) == 1 and str(step / name) in found[0]


@pytest.mark.parametrize("name", ["state/d/0", "empty", manifest.NAME])
def test_a_missing_file_is_seen(step, name):
    (step / name).unlink()
    assert str(step / name) in manifest.problems(step)[0]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"seal": 1}', "[" * 100_000, '{"files"'])
def test_what_is_no_manifest(step, text):
    (step / manifest.NAME).write_text(text)
    with pytest.raises(UserError, match="damaged"):
        manifest.read(step)


def test_a_changed_fact_is_seen(step):
    path = step / manifest.NAME
    path.write_text(path.read_text().replace('"validation_loss": 1.5', '"validation_loss": 0.5'))
    assert "damaged" in manifest.problems(step)[0]


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "state/../../outside"])
def test_names_that_lead_out_of_the_checkpoint_are_refused(step, name):
    (step.parent / "outside").touch()
    body = manifest.read(step)
    body["files"][name] = [0, "0" * 64]
    (step / manifest.NAME).write_text(manifest._text(body))
    assert any("leads out" in line for line in manifest.problems(step))


def test_a_copy_is_good_wherever_it_lies(step, tmp_path):
    there = tmp_path / "with spaces" / "ünïcode %20 #?"
    shutil.copytree(step, there)
    (there / "state" / ".DS_Store").touch()
    assert manifest.problems(there) == []


def test_the_format_is_plain_json(step):
    tree = json.loads((step / manifest.NAME).read_text())
    assert tree["format"] == manifest.FORMAT and len(tree["seal"]) == 64
