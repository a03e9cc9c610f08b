"""From a file of text through rows and stream to a training step, for every objective of text."""

import jax
import numpy as np
import optax
import pytest

from transformer.data.encode import encode
from transformer.data.rows import Chunks, Packed, Padded, Pairs
from transformer.data.source import Text
from transformer.data.stream import Stream
from transformer.data.vocabulary import Bytes
from transformer.launch import place_batch
from transformer.objectives.denoising import Denoising
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams
from transformer.objectives.next_sentence import NextSentence
from transformer.objectives.prefix_lm import PrefixLM, PrefixNextToken
from transformer.objectives.replaced_token import ReplacedToken
from transformer.objectives.sentence_order import SentenceOrder
from transformer.objectives.span_boundary import SpanBoundary
from transformer.objectives.span_corruption import SpanCorruption
from transformer.ops.placement import Mesh
from transformer.training.step import start, train_step

TEXT = "\n\n".join(f"Here is text {n}. It has {n % 7} words, or more?\nA line {n}!" * (1 + n % 3)
                   for n in range(60))
RUNNING, FRAMED = Chunks(length=70, cross_documents=True), Packed(length=64, opening="cls")
CASES = {
    "ngrams": (MaskedLM(unit=NGrams()), FRAMED), "boundary": (SpanBoundary(), FRAMED),
    "replaced": (ReplacedToken(), FRAMED), "corruption": (SpanCorruption(), RUNNING),
    "prefix": (PrefixLM(), RUNNING), "denoising": (Denoising(), RUNNING),
    "one document each": (Denoising(), Padded(length=80)),
    "decoder's prefix": (PrefixNextToken(), Packed(length=64)),
    "next sentence": (NextSentence(), Pairs(length=64)),
    "sentence order": (SentenceOrder(), Pairs(length=64, contrast="swapped")),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    place = tmp_path_factory.mktemp("text")
    (place / "text.txt").write_text(TEXT)
    return encode(Text(path=str(place / "text.txt")), Bytes(sentinels=8).train(), place)


@pytest.mark.parametrize("name", CASES)
def test_from_text_to_a_step(name, corpus, large_model):
    """Shapes never change, and a batch in two slices makes a step."""
    objective, rows = CASES[name]
    apply, params = large_model
    stream = Stream(rows.build(corpus, objective.lookahead), objective, batch=4, seed=1)
    first, later = stream[0], stream[2 * stream.rows_per_epoch]
    assert {n: (a.shape, a.dtype) for n, a in first.items()} == {
        n: (a.shape, a.dtype) for n, a in later.items()}
    assert all(a.dtype in (np.int32, np.float32) for a in first.values())
    assert any((first[n] != later[n]).any() for n in first)
    mesh, optimizer = Mesh().build(jax.devices()[:1]), optax.sgd(0.1)
    step = jax.jit(lambda state, batch: train_step(
        state, batch, apply=apply, objective=objective, optimizer=optimizer))
    state, metrics = step(start(params, optimizer, 0), place_batch(2, mesh, first))
    assert np.isfinite(metrics["loss"]) and metrics["grad_norm"] > 0 and not state["skipped"]


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_evaluated_once(name, corpus):
    objective, rows = CASES[name]
    stream = Stream(rows.build(corpus, objective.lookahead), objective, batch=4, seed=1)
    batches = list(stream.evaluation(8))
    index = np.concatenate([batch["index"] for batch in batches])
    assert index[index >= 0].tolist() == list(range(stream.rows_per_epoch))
    segments = np.concatenate([batch["segments"] for batch in batches])
    assert not segments[index < 0].any()
    assert sum(objective.weights(batch)[objective.main] for batch in batches) > 0


def test_what_is_drawn_depends_on_the_number_of_the_example(corpus, large_model):
    """So that slices and meshes draw alike."""
    objective, rows = CASES["replaced"]
    apply, params = large_model
    batch = Stream(rows.build(corpus), objective, batch=4, seed=1)[0]
    value = jax.jit(lambda batch: objective.loss(apply, params, batch, jax.random.key(0), False))
    one, other = value(batch), value({**batch, "index": batch["index"] + 100})
    assert one["replaced"].sum != other["replaced"].sum
    assert one["masked"].sum == other["masked"].sum
