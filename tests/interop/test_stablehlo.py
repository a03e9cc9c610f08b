"""Exported programs compute what the model computes, where this project cannot be imported."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import ALL, DECODERS, TRANSLATORS, cells, value
from jax import export

import transformer
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.interop import stablehlo
from transformer.interop.programs import by_layer, functions, inputs, served
from transformer.nn.door import Model
from transformer.nn.head import Classes
from transformer.nn.stack import Segment, Stack
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.ops.reach import Causal, Prefix
from transformer.verbs.exporting import command
from transformer.zoo.bart import bart
from transformer.zoo.bert import bert
from transformer.zoo.electra import electra
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.llama import llama

SMALL = dict(width=16, depth=2, heads=2)
BYTES = Bytes().train([])
MODELS = {
    "pair": electra(**SMALL, rank=8, vocab=BYTES.size, length=24, generator=0.5),
    "decoder": llama(**SMALL, vocab=BYTES.size + 60, kv_heads=1),  # 60 rows are no token
    "encoder_decoder": bart(**SMALL, hidden=32, vocab=BYTES.size, length=24),
}
# Runs the Python of each README. Leaves its outputs, prints what it printed.
ALONE = """
import contextlib, io, json, os, re, sys
class Gone:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("transformer", "flax"):
            raise ImportError(name)
sys.meta_path.insert(0, Gone())
for place in sys.argv[1:]:
    os.chdir(place)
    (code,) = re.findall("```python\\n(.*?)```", open("README.md", encoding="utf-8").read(), re.S)
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    names["numpy"].savez("outputs.npz", **names["outputs"])
    print(json.dumps([int(word) for word in printed.getvalue().split()]))
try:
    import transformer
except ImportError:
    print("alone")
"""


def loaded(small, objective=None):
    """What `transformer.load` would give."""
    return SimpleNamespace(model=small.model, params=small.params, tokenizer=BYTES,
                           experiment=SimpleNamespace(objective=objective), path=Path("nowhere"))


@pytest.fixture(scope="module")
def exports(tmp_path_factory, build):
    """{model: (tiny model, its directory, the tokens that the lines of its README printed)}."""
    made = {}
    for name, spec in MODELS.items():
        small, place = build(spec), tmp_path_factory.mktemp(name) / "made"
        found = loaded(small, SequenceToSequence() if name == "encoder_decoder" else None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transformer, "load", lambda path: found, raising=False)
            assert command(["run", str(place), "--format=stablehlo", "--capacity=20"]) == 0
        made[name] = small, place
    words = [sys.executable, "-c", ALONE, *(str(place) for _, place in made.values())]
    done = subprocess.run(words, capture_output=True, text=True, cwd=os.sep,
                          env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    *printed, last = done.stdout.splitlines()
    assert last == "alone"
    return {name: (*made[name], json.loads(line))
            for name, line in zip(made, printed, strict=True)}


def readme_batch(name):
    """The batch of the README's lines."""
    row = np.array([[5, 6, 7, 8]], np.int32)
    whole = {"tokens": row, "segments": np.ones_like(row)}
    start = np.array([[BYTES.special["bos"]]], np.int32)
    return {"pair": {**whole, "types": 0 * row}, "decoder": whole,
            "encoder_decoder": {"tokens": start, "segments": np.ones_like(start),
                                "source_tokens": row, "source_segments": np.ones_like(row)}}[name]


@pytest.mark.parametrize("name", MODELS)
def test_forward_without_this_project(exports, name):
    small, place, _ = exports[name]
    ours = small.forward(small.params, readme_batch(name))
    theirs = np.load(place / "outputs.npz")
    generators = {head for head, _ in small.spec.generator.heads} if name == "pair" else set()
    assert set(theirs) == {head for head in ours if ours[head] is not None} - generators
    for head in theirs:
        np.testing.assert_allclose(theirs[head], ours[head], rtol=1e-6, atol=2e-6, err_msg=head)


@pytest.mark.parametrize("name", ["decoder", "encoder_decoder"])
def test_greedy_decoding_without_this_project(exports, name):
    """Each of the twelve tokens is what the model, given those before it, finds likeliest."""
    small, place, tokens = exports[name]
    batch = readme_batch(name)
    said = np.concatenate([batch["tokens"], np.array([tokens], np.int32)], 1)
    whole = {**batch, "tokens": said, "segments": np.ones_like(said)}
    logits = small.forward(small.params, whole)["logits"]
    best = np.argmax(logits[0, :, :BYTES.size], -1)
    assert len(tokens) == 12 and tokens == best[batch["tokens"].shape[1] - 1:-1].tolist()
    assert json.loads((place / "io.json").read_text())["capacity"] == 20


def test_padding_takes_no_room(exports):
    """Seven columns, three tokens at most in a row: the answer begins in the fourth slot."""
    small, place, _ = exports["decoder"]
    made = export.deserialize(bytearray((place / "prefill.stablehlo").read_bytes()))
    tokens = np.full((2, 7), 9, np.int32)
    segments = np.int32(np.arange(7) < [[3], [2]])
    layers = by_layer(jax.tree.map(jnp.asarray, small.params))
    _, cache = jax.jit(made.call)(layers, {"tokens": tokens, "segments": segments})
    assert cache["slot"] == 3 and cache["next"].tolist() == [3, 2]


@pytest.mark.parametrize("name", MODELS)
def test_what_lies_there(exports, name):
    small, place, tokens = exports[name]
    decodes = name in ("decoder", "encoder_decoder")
    programs = ["forward"] + ["prefill", "decode"] * decodes
    assert {path.name for path in place.iterdir()} == {
        "README.md", "io.json", "params.safetensors", "tokenizer", "outputs.npz",
        *(f"{program}.stablehlo" for program in programs)}
    assert bool(tokens) == decodes
    said = json.loads((place / "io.json").read_text(encoding="utf-8"))
    assert list(said["programs"]) == programs == list(said["differences"])
    assert said["programs"]["forward"]["arguments"]["batch/tokens"] == ["int32", ["b", "t"]]
    served = small.params["discriminator"] if name == "pair" else small.params
    assert said["parameters"] == sum(x.size for x in jax.tree.leaves(served))
    for program in programs:
        text = (place / f"{program}.stablehlo").read_bytes()
        made = export.deserialize(bytearray(text))
        assert set(made.platforms) == {"cpu", "cuda", "tpu"}
        assert len(text) < 200_000  # no parameter is inside


def test_inputs_are_what_the_model_reads():
    label = (("label", Classes(classes=3)),)
    classifier = dataclasses.replace(gpt1("tiny"), heads=label)
    assert set(inputs(classifier, 64, 64)) == {"tokens", "segments", "pooled"}
    assert set(inputs(bert("nano"), 64, 64)) == {"tokens", "segments", "types"}
    block = classifier.stack.segments[0].pattern[0]
    (name, attention), after = block.sublayers
    reach = dataclasses.replace(attention, reach=Causal() | Prefix())
    block = dataclasses.replace(block, sublayers=((name, reach), after))
    stack = Stack(segments=(Segment(pattern=(block,), repeats=1),))
    prefixed = dataclasses.replace(gpt1("tiny"), stack=stack)
    assert set(inputs(prefixed, 64, 64)) == {"tokens", "segments", "prefix"}


@pytest.mark.parametrize("name", cells(ALL, ("albert", "modernbert", "palm", "rnn", "t5")))
def test_every_family_leaves_rows_and_tokens_open(name):
    """Traced, not compiled: nothing in a model may ask how many rows there are."""
    model, _ = served(Model(value(name)), {"discriminator": None})
    made = functions(model, 10)
    for program, (function, arguments) in made.items():
        got = jax.eval_shape(function, *arguments)
        first = got["hidden"] if program == "forward" else got[0]
        assert export.is_symbolic_dim(first.shape[0])
    assert ("decode" in made) == (name in DECODERS + TRANSLATORS)


def test_a_program_that_computes_something_else_is_refused(build, tmp_path, monkeypatch):
    wrong = Model(llama(**SMALL, vocab=BYTES.size + 60, kv_heads=1, base=500.0))
    real = stablehlo.programs
    monkeypatch.setattr(stablehlo, "programs", lambda model, capacity: real(wrong, capacity))
    with pytest.raises(UserError, match="forward.stablehlo differs by"):
        stablehlo.write(loaded(build(MODELS["decoder"])), tmp_path / "made", capacity=20)
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_refused(build, tmp_path):
    with pytest.raises(UserError, match="room for 7 tokens"):
        stablehlo.write(loaded(build(MODELS["decoder"])), tmp_path / "made", capacity=7)


def test_nothing_is_overwritten(build, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="exists"):
        stablehlo.write(loaded(build(MODELS["decoder"])), tmp_path)
