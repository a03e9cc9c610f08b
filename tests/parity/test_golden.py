"""Against what Hugging Face computed once: tiny models of every family, without torch.

`make_golden.py` made the files. Each model is imported as a user's directory would be, and its
outputs, gradients, answers and training are compared with theirs.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from golden_files import brought, parameters
from golden_models import (ANSWERS, BEAMS, FOLDER, GOLDENS, GRADIENTS, LAST, NEW, PAD,
                           PEAKS, SLOPES, TRAINED, WARMUP)

from transformer.generation.beam import Beam
from transformer.generation.generate import Greedy, generate
from transformer.interop.original import MOST, TOLERANCE, real
from transformer.nn.door import unstack
from transformer.training import paths
from transformer.training.optimizer import AdamW, GPT1Adam
from transformer.training.schedule import GPT1Cosine, WarmupLinear
from transformer.training.step import combine, start, train_step

LARGEST = 5_000_000  # bytes, of all golden files together
ANSWERING = [name for name, golden in GOLDENS.items() if golden.generates]


@pytest.fixture(autouse=True, scope="module")
def hurry():
    """These tests compile many programs and run each for a moment: the compiler may hurry."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_the_files_are_those_of_the_table():
    there = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert there == set(GOLDENS)
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < LARGEST
    for name in GOLDENS:
        keys = {key.partition("/")[0] for key in brought(name).files}
        assert keys >= {"in", "out", "rounding"}
        assert ("generate" in keys) == (name in ANSWERING)
        assert ("losses" in keys) == (name in PEAKS)


@pytest.mark.parametrize("name", GOLDENS)
def test_outputs(name):
    """Hidden states and the logits of every head, at every real token."""
    golden = brought(name)
    given, theirs, rounding = (golden.under(kind) for kind in ("in/", "out/", "rounding/"))
    made = jax.jit(golden.model.apply)(golden.params, golden.translation.batch(given))
    ours = golden.translation.outputs(made, given["input_ids"].shape)
    assert ours.keys() == theirs.keys()
    for key, expected in theirs.items():
        decoded = "decoder_attention_mask" in given and not key.startswith("encoder")
        mask = {"attention_mask": given["decoder_" * decoded + "attention_mask"]}
        a, b = real(mask, ours[key]), real(mask, expected)
        assert a.shape == b.shape, key
        assert b.std() > 0.1, key  # and there is something to agree about
        assert np.abs(a - b).max() <= min(max(TOLERANCE, 10 * rounding[key]), MOST), key


@pytest.mark.parametrize("name", SLOPES)
def test_gradients(name):
    golden, theirs = brought(name), parameters(name, GRADIENTS)
    objective, batch = golden.objective(), golden.lessons()[0]

    def loss(params, batch):
        terms = objective.loss(golden.still, params, batch, None, True)
        return combine(terms, objective.weights(batch))

    ours = paths.named(jax.jit(jax.grad(loss))(golden.params, batch))
    assert ours.keys() == theirs.keys()
    largest = max(np.abs(slope).max() for slope in theirs.values())
    for path, slope in theirs.items():
        # a key's bias has no gradient but rounding: the softmax cancels it
        size = max(np.abs(slope).max(), 1e-3 * largest)
        assert np.abs(ours[path] - slope).max() <= 1e-3 * size, path


@pytest.mark.parametrize("how", ["greedy", "searched"])
@pytest.mark.parametrize("name", ANSWERING)
def test_answers(name, how):
    """The same ids and, of beam search, the same scores as their `generate`."""
    golden = brought(name)
    kept = golden.under("generate/")
    batch = {"tokens": kept["input_ids"], "segments": kept["attention_mask"]}
    if "source_tokens" in golden.model.example():
        first = golden.translation.config.id("decoder_start_token_id")
        batch = {f"source_{key}": array for key, array in batch.items()} | {
            "tokens": np.full((len(batch["tokens"]), 1), first)}
    choose = Greedy() if how == "greedy" else Beam(width=BEAMS, answers=ANSWERS)
    made = generate(golden.model, unstack(golden.params), batch, tokens=NEW, choose=choose,
                    stop=kept["ends"].tolist(), pad=PAD)
    want = kept[how]
    assert made["lengths"].max() == want.shape[1] and made["lengths"].min() < want.shape[1]
    np.testing.assert_array_equal(made["tokens"][:, :want.shape[1]], want)
    if how == "searched":
        np.testing.assert_allclose(made["score"], kept["scores"], rtol=2e-5, atol=2e-5)


OPTIMIZERS: dict[str, Any] = {
    "bert": lambda peak: AdamW(learning_rate=WarmupLinear(peak=peak, warmup=WARMUP, steps=LAST),
                               decay=0.01, eps=1e-6, correct_bias=False),
    "openai-gpt": lambda peak: GPT1Adam(
        learning_rate=GPT1Cosine(peak=peak, warmup=WARMUP, steps=LAST)),
}


@pytest.mark.parametrize("name", PEAKS)
def test_training(name):
    """Ten losses under the original optimizer, and where they lead.

    The losses hardly see weight decay; the parameters do. Of a key's bias only rounding is left.
    """
    golden = brought(name)
    optimizer = OPTIMIZERS[name](PEAKS[name]).build()
    step = jax.jit(functools.partial(train_step, apply=golden.still, optimizer=optimizer,
                                     objective=golden.objective()))
    state, losses = start(golden.params, optimizer, seed=0), []
    for batch in golden.lessons():
        state, metrics = step(state, {key: array[None] for key, array in batch.items()})
        losses.append(float(metrics["loss"]))
    np.testing.assert_allclose(losses, golden.files["losses"], rtol=5e-6)
    before, after = paths.named(golden.params), paths.named(state["params"])
    for path, expected in parameters(name, TRAINED).items():
        if not path.endswith("key_bias"):
            moved = np.abs(expected - before[path]).max()
            assert np.abs(after[path] - expected).max() <= 3e-4 * moved, path
