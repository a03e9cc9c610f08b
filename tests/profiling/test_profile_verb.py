"""`python -m transformer profile`: a tiny run from its config to the table."""

import json

import pytest

from transformer.error import UserError
from transformer.profiling import machine, part
from transformer.verbs.profile import command

CONFIG = "tests/faults/tiny_run.py"
STEPS = 3


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "text.txt"
    path.write_text("\n".join(f"the tale of line {n} and what it says" for n in range(60)))
    return path


def test_a_run_from_its_config_to_the_table(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(machine, "COPIED", {"cpu": 2**20})
    assert command([f"{CONFIG}:text={text}", f"--steps={STEPS}", f"--trace={tmp_path / 'trace'}",
                    f"--json={tmp_path / 'out.json'}", "--batch=8"]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    rows = {row["part"]: row for row in found["rows"]}
    total = sum(row["seconds"] for row in found["rows"])
    assert total == pytest.approx(found["traced_step_seconds"])
    for name in (part.EMBEDDING, part.ATTENTION, part.FEEDFORWARD, part.NORMS, part.HEAD):
        assert min(rows[name][way] for way in ("forward", "backward", "floor")) > 0, name
    assert rows[part.OPTIMIZER]["seconds"] > 0 and rows[part.OPTIMIZER]["backward"] == 0
    named = sum(rows[name]["seconds"] for name in part.ORDER[:-1] if name in rows)
    assert rows.get(part.UNNAMED, {"seconds": 0})["seconds"] < 0.5 * named
    assert sum(row["flops"] or 0 for row in found["rows"]) == found["flops"]
    assert found["mfu"] is None and 0 < found["of_matmul_rate"] < 1
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))
    printed = capsys.readouterr().out
    assert "floor ms" in printed and str(tmp_path / "trace") in printed


@pytest.mark.parametrize("argument,line", [
    ("--steps=0", "at least one step"), ("--stage=second", "no such stage"),
    ("--bach=3", "batch"), ("batch", "cannot read"),
])
def test_mistakes(text, tmp_path, argument, line):
    with pytest.raises(UserError, match=line):
        command([f"{CONFIG}:text={text}", f"--trace={tmp_path}", argument])
