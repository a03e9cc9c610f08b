"""What a user can get wrong: one line that says what to change, status 2, nothing half-written."""

import json
import pathlib

import pytest

TASK = pathlib.Path(__file__).parent / "tiny_task.py"


def refused(done, *words):
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("override, words", [
    ("--stpes=3", ["stpes", "steps", "--stpes"]),
    ("--model.embedding.vocabb=3", ["vocabb", "vocab"]),
    ("--optimizer.learning_rate.peek=3", ["peek", "peak"]),
    ("--steps=many", ["'many'", "int"]),
    ("--steps=0", ["steps", "at least 1"]),
    ("--batch=5", ["batch 5", "accumulate=2"]),
    ("--model.stack.segments.0.pattern.0.sublayers.attention.heads=3", ["width 16", "3 heads"]),
    ("--model.embedding.vocab=100", ["vocabulary", "266"]),
    ("--rows.length=64", ["64 tokens", "positions for 16"]),
    ("--data.path=/nowhere.txt", ["/nowhere.txt"]),
    ("--mesh.data=3", ["mesh", "1 devices"]),
    ("--start_from=/nowhere", ["/nowhere"]),
    ("--wandb=x", ["wandb"]),
    ("nonsense", ["nonsense"]),
])
def test_a_mistake_in_the_command_line(programs, override, words):
    refused(programs.train("mistake", override), *words)


def test_an_unknown_config_names_its_neighbours(programs):
    done = programs.python("train.py", "configs/quickstrat.py")
    refused(done, "quickstrat", "configs/quickstart.py")


@pytest.mark.parametrize("content, words", [
    (b"", ["empty"]),
    (b"fine\n\xff\xfe broken\n", ["UTF-8", ":2"]),
    (b"short", []),
])
def test_a_text_that_cannot_be_used(programs, tmp_path, content, words):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    refused(programs.train("bad", f"--data.path={path}"), *words)


def test_a_changed_config_is_refused_with_the_difference(programs, whole):
    done = programs.train(whole, "--optimizer.b2=0.5")
    refused(done, "optimizer.b2", "0.999", "0.5")


def test_a_finished_run_tells_its_summary_and_how_to_start_again(programs, whole):
    done = programs.train(whole)
    assert done.returncode == 0 and "--fresh" in done.stdout and "validation_loss" in done.stdout


def test_another_text_under_the_same_name_is_refused(programs, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one text to begin with, of some length\n" * 40)
    assert programs.train("swapped", f"--data.path={path}", "--steps=8").returncode == 0
    path.write_text("and quite another text afterwards, as long\n" * 40)
    refused(programs.train("swapped", f"--data.path={path}", "--steps=9"), "other data")


def test_too_many_bad_updates_end_the_run_and_are_told(programs):
    done = programs.train("diverged", "--optimizer.learning_rate.peak=1e30", "--max_skipped=3",
                          "--optimizer.clip=none", "--steps=40")
    refused(done, "3 updates in a row", "learning rate")
    lines = (programs.folder / "diverged" / "metrics.jsonl").read_text().splitlines()
    told = [json.loads(line, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
            for line in lines]
    assert [r["skipped"] for r in told if r.get("skipped")][:2] == [1, 2]
    assert "not_finite" in told[-1]
    assert not (programs.folder / "diverged" / "summary.json").exists()


RECORDS = [{"text": f"text {n}", "label": ("no", "yes")[n % 2]} for n in range(12)]


@pytest.mark.parametrize("line, words", [
    ('{"text": "x", "label": "perhaps"}', ["'perhaps'", "no, yes"]),
    ('{"text": "x"}', ["label"]),
    ('["x", "no"]', ["object"]),
    ('{"text": "x", "label": "no"', ["JSON"]),
])
def test_a_labelled_record_that_cannot_be_used(programs, tmp_path, line, words):
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join([*map(json.dumps, RECORDS[:4]), line]) + "\n")
    done = programs.train("labelled bad", config=f"{TASK}:path={path}")
    refused(done, f"{path}:5", *words)


def test_a_labelled_run_keeps_its_best_and_is_judged_by_it(programs, tmp_path):
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, RECORDS)) + "\n")
    done = programs.train("labelled", config=f"{TASK}:path={path}")
    assert done.returncode == 0, done.stderr
    summary = json.loads((programs.folder / "labelled" / "summary.json").read_text())
    judged = {r["step"]: r["validation_accuracy"] for r in programs.log("labelled")
              if "validation_accuracy" in r}
    best = max(judged.values())
    first = min(step for step, value in judged.items() if value == best)
    assert summary["judged_step"] == first and summary["validation_accuracy"] == best
    assert summary["test_accuracy"] == pytest.approx(best)  # the same records
    out = tmp_path / "answers.jsonl"
    done = programs.python("evaluate.py", str(programs.folder / "labelled"),
                           f"--predictions={out}")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [a["text"] for a in answers] == [r["text"] for r in RECORDS]


def test_evaluate_reads_the_run_and_refuses_what_is_none(programs, whole, tmp_path):
    out = tmp_path / "metrics.json"
    done = programs.python("evaluate.py", str(programs.folder / whole), f"--json={out}")
    assert done.returncode == 0, done.stderr
    last = [r for r in programs.log(whole) if "validation_loss" in r][-1]
    assert json.loads(out.read_text())["loss"] == pytest.approx(last["validation_loss"], rel=1e-6)
    refused(programs.python("evaluate.py", str(tmp_path)), str(tmp_path))
