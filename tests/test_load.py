"""Opening a checkpoint: which directory is meant, what is checked first, how texts are framed."""

import json
from types import SimpleNamespace

import jax
import pytest

from transformer.data.framed import Framed
from transformer.data.packing import Packed
from transformer.data.pairs import Pairs
from transformer.error import UserError
from transformer.loaded import Loaded, load, stage
from transformer.training import manifest
from transformer.training.shelf import find


def step(directory, number=100):
    """A step directory whose manifest holds."""
    path = directory / "checkpoints" / f"{number:08d}"
    path.mkdir(parents=True)
    (path / "data.json").write_text('{"experiment": {"kind": "Experiment"}}')
    manifest.write(path, {})
    return path


def test_the_manifest_is_checked_before_anything_is_read(tmp_path):
    path = step(tmp_path)
    (path / "data.json").write_text('{"exper')
    with pytest.raises(UserError, match="data.json: 7 bytes where the manifest says"):
        load(path)


def test_numpy_arrays_lie_on_no_mesh(tmp_path):
    with pytest.raises(UserError, match="on no mesh; leave one out"):
        load(step(tmp_path), stored=True, mesh=jax.make_mesh((1,), ("data",)))


def test_a_run_named_by_its_date_is_no_step(tmp_path):
    run = tmp_path / "20240131"
    path = step(run)
    assert find(run) == find(path) == path
    with pytest.raises(UserError, match="no checkpoint here"):
        find(tmp_path)
    with pytest.raises(UserError, match="no such checkpoint"):
        find(run / "checkpoints" / "00000200")


def test_a_stage_whose_only_step_was_half_written_has_none(tmp_path):
    (tmp_path / "stages.json").write_text(json.dumps(["first", "second", "third"]))
    for unfinished in ("second/checkpoints/00000100.tmp", "third/checkpoints/00000100.replaced"):
        (tmp_path / unfinished).mkdir(parents=True)
    with pytest.raises(UserError, match="none of its stages"):
        stage(tmp_path)
    step(tmp_path / "first")
    assert stage(tmp_path) == tmp_path / "first"


@pytest.mark.parametrize(("special", "framed"), [
    ({"cls": 1, "eos": 2}, [1, 7, 8, 2]), ({"cls": 1, "sep": 3}, [1, 7, 8])])
def test_texts_end_as_documents_do(special, framed):
    """Without eos, documents of a corpus end with nothing."""
    experiment = SimpleNamespace(
        task=None, objective=None, rows=Packed(length=8, opening="cls"))
    loaded = Loaded(None, None, SimpleNamespace(special=special), experiment, None)
    assert loaded.framed([7, 8]) == framed


@pytest.mark.parametrize(("frame", "framed"), [
    (("cls", "sep"), [1, 7, 8, 3]), (("cls", None), [1, 7, 8]), ((None, "eos"), [7, 8, 2])])
def test_an_imported_model_says_what_its_texts_end_with(frame, framed):
    rows = Framed(length=8, opening=frame[0], closing=frame[1])
    experiment = SimpleNamespace(task=None, objective=None, rows=rows)
    special = SimpleNamespace(special={"cls": 1, "eos": 2, "sep": 3})
    assert Loaded(None, None, special, experiment, None).framed([7, 8]) == framed


def test_a_text_alone_is_framed_as_the_first_of_a_pair():
    special, experiment = {"cls": 1, "eos": 2, "sep": 3}, SimpleNamespace(
        task=None, objective=None, rows=Pairs(length=8))
    loaded = Loaded(None, None, SimpleNamespace(special=special), experiment, None)
    assert loaded.framed([7, 8]) == [1, 7, 8, 3]
