"""docs/speed.md says what benchmarks/results/ holds, and what it lacks."""

import json

import pytest

from benchmarks import accelerator_decode, goals, page, record
from benchmarks.workloads import PUBLISHED


def test_the_page_is_that_of_the_results():
    """After new results: python -m benchmarks.page"""
    assert page.PAGE.read_text(encoding="utf-8") == page.page(record.RESULTS)


@pytest.mark.parametrize("value,goal,most,verdict", [
    (1.2, 1.2, False, "met"), (1.199, 1.2, False, "missed"), (1.3, 1.3, True, "met"),
    (1.301, 1.3, True, "missed"), (None, 1.2, False, "not measured"), (5.0, None, False, ""),
])
def test_verdicts(value, goal, most, verdict):
    assert goals.Row("", "", value, goal, most).verdict == verdict


def test_each_stated_goal_stands_in_the_page():
    """The numbers that the work is judged by, written once more."""
    wanted = {"gpt2_124m": 0.47, "gpt2_350m": 0.54, "gpt2_774m": 0.55, "gpt2_1558m": 0.60,
              "bert_base": 0.44, "bert_large": 0.50, "t5_base": 0.40, "llama_1b": 0.50}
    assert {name: work.goal for name, work in PUBLISHED.items()} == wanted
    rows = {row.what: row.goal for row in goals.accelerator({}, goals=True)}
    assert rows["training gpt2_124m: over PyTorch"] == 1.15
    assert rows["decoding llama_1b, 1 row: weights read, of the bandwidth"] == 0.65
    assert rows["decoding gpt2_124m, 1 row: tokens/s"] == 2000
    assert all(rows[f"decoding {name}: 64 rows over 1"] == 25 for name in accelerator_decode.MODELS)
    assert rows["first step, cold cache"] == 40 and rows["first step, warm cache"] == 15
    rows = {row.what: row.goal for row in goals.cpu({})}
    for shape in ("gpt", "bert", "encoder–decoder"):
        assert rows[f"training, {shape}: tokens/s over the best of PyTorch"] == 1.2
        assert rows[f"training, {shape}: of the matmul rate"] == 0.45
    assert rows["compile time, 96 layers over 12"] == 1.3


def test_devices_have_tables_of_their_own(tmp_path):
    about = {"date": "2026-01-02T03:04:05", "processor": "P", "versions": {"jax": "0.11"},
             "commit": "abc+", "device": "NVIDIA A100"}
    (tmp_path / "nvidia-a100").mkdir()
    (tmp_path / "nvidia-a100" / "first_step.json").write_text(json.dumps(
        about | {"cold": 61.234, "warm": 12.0}))
    found = page.page(tmp_path)
    other, expected = found.split("## NVIDIA A100")[1].split("## NVIDIA H200")
    assert "| first step, cold cache | 61.2 s |  |  |" in other  # an H200's goals are not its own
    assert "| `first_step` | 2026-01-02 | P | jax 0.11, commit abc+ |" in other
    assert "Nothing was measured" in expected and "at most 40 s | not measured |" in expected
