"""`python -m transformer embed`: where vectors go, and which models have none."""

from types import SimpleNamespace

import numpy as np
import pytest

import transformer
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.verbs.embed import command
from transformer.zoo.bert import bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.vaswani import vaswani

SMALL = dict(width=32, depth=1, heads=2, dropout=0.0)
SPECS = {
    "encoder": lambda size: bert(**SMALL, vocab=size, length=16),
    "decoder": lambda size: gpt2(**SMALL, vocab=size, length=16),
    "pair": lambda size: vaswani(**SMALL, hidden=64, vocab=size)}


@pytest.fixture
def run(monkeypatch, build, tmp_path):
    """run(kind of model, text of the inputs, options...) -> status of the verb."""
    def run(kind, text, *options):
        tokenizer = Bytes().train([])
        small = build(SPECS[kind](tokenizer.size + 200))
        loaded = SimpleNamespace(model=small.model, params=small.params, tokenizer=tokenizer,
                                 framed=lambda ids: [tokenizer.special["cls"], *ids])
        monkeypatch.setattr(transformer, "load", lambda path: loaded, raising=False)
        (tmp_path / "in").write_text(text)
        return command(["anywhere", f"--inputs={tmp_path / 'in'}", *options])
    return run


@pytest.mark.parametrize("name", ["vectors", "vectors.npy", "vectors.old"])
def test_the_file_that_is_named_is_the_one_written(run, tmp_path, capsys, name):
    assert run("encoder", "ab\nc\n", f"--outputs={tmp_path / name}") == 0
    named = capsys.readouterr().out.split(": 2 vectors of 32")[0]
    assert np.load(named).shape == (2, 32)


@pytest.mark.parametrize(("kind", "text", "options", "message"), [
    ("encoder", "", [], "is empty"),
    ("encoder", "x" * 16, [], "line 1 has 17 tokens"),
    ("decoder", "ab", ["--pooling=first"], "--pooling=mean"),
    ("pair", "ab", [], "encoder-decoder")])
def test_mistakes_are_named(run, kind, text, options, message):
    with pytest.raises(UserError, match=message):
        run(kind, text, *options)


def test_texts_of_a_decoder_have_means_of_their_own(run, capsys):
    assert run("decoder", "ab\ncd\n") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first != second
