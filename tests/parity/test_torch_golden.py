"""The golden files are what `make_golden.py` makes: the same weights, and what they give today.

Run with `pytest -m torch` where torch and transformers are installed.
"""

from __future__ import annotations

import numpy as np
import pytest
from golden_models import FOLDER, GOLDENS

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def maker():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import make_golden

    return make_golden


@pytest.mark.parametrize("name", GOLDENS)
def test_the_files_are_what_the_script_makes(maker, name):
    model = maker.build(name, GOLDENS[name])
    again = type(model).from_pretrained(FOLDER / name, dtype="float32", attn_implementation="eager")
    there = again.state_dict()
    assert all(there[key].equal(tensor) for key, tensor in model.state_dict().items())
    with np.load(FOLDER / name / "io.npz") as file:
        files = dict(file)
    given = {key.removeprefix("in/"): a for key, a in files.items() if key.startswith("in/")}
    found = maker.outputs(again.eval(), given)
    assert {f"out/{key}" for key in found} == {key for key in files if key.startswith("out/")}
    for key, value in found.items():
        np.testing.assert_allclose(value, files[f"out/{key}"], rtol=0, atol=2e-5, err_msg=key)
