"""The zoo as `python -m transformer models` tells it, and as docs/models.md has it."""

import json
from pathlib import Path
from pkgutil import iter_modules

import pytest

from transformer import objectives
from transformer.error import UserError
from transformer.interop.counterpart import counterpart
from transformer.interop.family import Unsupported, known
from transformer.nn.door import Model
from transformer.training import paths
from transformer.verbs.models import command, families, rows
from transformer.verbs.models_page import page

PAGE = Path(__file__).resolve().parents[1] / "docs/models.md"
FAMILIES = families()


def test_the_page_is_what_the_command_writes(tmp_path, capsys):
    """After a change of the zoo: python -m transformer models --markdown=docs/models.md"""
    paths = tmp_path / "models.md", tmp_path / "models.json"
    assert command([f"--markdown={paths[0]}", f"--json={paths[1]}"]) == 0
    assert paths[0].read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    table = json.loads(paths[1].read_text(encoding="utf-8"))
    assert page(table) == PAGE.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for row in table:
        assert f"{row['parameters']:,}" in printed and row["paper"] in printed
        assert f"| {row['size']} |" in page(table)
        recipe = FAMILIES[row["family"]].__dict__.get("RECIPE", True)
        assert (row["command"] is not None) == recipe
        assert not recipe or f"{row['family']}.py:" in row["command"]
        assert row["parameters"] == FAMILIES[row["family"]].COUNTS.get(
            row["size"], row["parameters"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_all_that_the_page_needs(family):
    module = FAMILIES[family]
    assert "tiny" in module.SIZES and set(module.COUNTS) <= set(module.SIZES)
    assert bool(module.INTEROP) != bool(getattr(module, "ALONE", ""))
    assert len(module.__doc__.splitlines()) == 1 and module.PAPER
    assert set(module.OBJECTIVES) <= {found.name for found in iter_modules(objectives.__path__)}


def test_every_family_that_comes_in_is_in_the_zoo():
    assert set(known()) <= {name for module in FAMILIES.values() for name in module.INTEROP}


@pytest.mark.parametrize("family", FAMILIES)
def test_interop_is_what_the_tables_say(family):
    """A tiny model goes out as what its family is, and not at all where that stands alone."""
    module = FAMILIES[family]
    spec = getattr(module, family)("tiny")
    spec = getattr(spec, "discriminator", spec)
    shapes = paths.named(Model(spec).shapes())
    if not module.INTEROP:
        with pytest.raises(Unsupported):
            counterpart(spec, shapes, None, {})
    elif set(module.INTEROP) & set(known()):
        assert counterpart(spec, shapes, None, {}).family.model_type in module.INTEROP


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        command([f"--markdown={tmp_path}/missing/models.md"])


def test_rows_are_of_every_size():
    assert {(row["family"], row["size"]) for row in rows()} == {
        (family, size) for family, module in FAMILIES.items() for size in module.SIZES}
