"""Every config: it builds, is a plain value, and takes its arguments from the command line."""

import json
from pathlib import Path

import pytest

from transformer import kinds
from transformer.error import UserError
from transformer.nn.door import Model
from transformer.spec import from_json, to_json
from transformer.training.config import stages
from transformer.wiring import require_kinds

CONFIGS = sorted(str(path) for path in Path("configs").rglob("*.py"))
NEEDS = {"wikitext2": "folder=data", "multi30k": "folder=data"}


def made(path):
    argument = NEEDS.get(Path(path).stem)
    return stages(f"{path}:{argument}" if argument else path, [])


@pytest.mark.parametrize("path", CONFIGS)
def test_a_config_is_a_value_that_can_be_stored(path):
    kinds.register()
    for experiment in made(path).values():
        assert from_json(json.loads(json.dumps(to_json(experiment)))) == experiment
        require_kinds(experiment)


@pytest.mark.parametrize("path", CONFIGS)
def test_the_model_of_a_config_fits_its_rows_and_tokenizer(path):
    for experiment in made(path).values():
        model = Model(experiment.model)
        assert model.count() > 0
        limit = experiment.model.embedding.position.limit()
        assert limit is None or experiment.rows.length <= limit
        ids = getattr(experiment.tokenizer, "vocab", None)
        assert ids is None or ids <= experiment.model.embedding.vocab


@pytest.mark.parametrize("config, words", [
    ("configs/pretrain/wikitext2.py", ["folder", "folder=VALUE"]),
    ("configs/pretrain/wikitext2.py:folder=x,model=grt", ["'gpt'", "'bert'"]),
    ("configs/pretrain/gpt2.py:size=huge", ["size=huge", "'small'"]),
    ("configs/pretrain/gpt2.py:steps=many", ["steps=many", "int"]),
    ("configs/finetune/labels.py:task=clasification", ["task=clasification", "'classification'"]),
    ("configs/quickstart.py:sed=1", ["sed", "did you mean seed"]),
])
def test_a_wrong_argument_of_a_config(config, words):
    with pytest.raises(UserError) as raised:
        stages(config, [])
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("name, text, words", [
    ("notes.txt", "some text", ["notes.txt is no config", "gpt2.py"]),
    ("a.py", "x = 1\n", ["no function `experiment`"]),
    ("b.py", "def experiment():\n    return 3\n", ["returns 3"]),
    ("c.py", "import nowhere\n", ["c.py:1", "No module named 'nowhere'"]),
    ("d.py", "def experiment():\n    return name\n", ["d.py:2", "name 'name' is not defined"]),
    ("e.py", "def experiment(:\n", ["e.py:1", "SyntaxError"]),
    ("f.py", "from transformer.training.schedule import Constant\n\n\ndef experiment():\n"
     "    return Constant(peek=1.0)\n", ["f.py:5", "'peek'"]),
])
def test_a_config_file_with_a_mistake(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        stages(str(path), [])
    for word in words:
        assert word in str(raised.value)


def test_a_tuple_is_one_argument(tmp_path):
    path = tmp_path / "g.py"
    path.write_text("def experiment(classes: tuple[str, ...], seed: int = 0):\n"
                    "    raise KeyError(classes, seed)\n")
    with pytest.raises(KeyError) as raised:
        stages(f"{path}:classes=(no,yes),seed=3", [])
    assert raised.value.args == (("no", "yes"), 3)
