"""What accelerators are measured on: the arithmetic of published sizes, the same on both sides."""

import pytest

from benchmarks import accelerator_ours
from benchmarks.workloads import PUBLISHED, TINY

# GFLOPs of a row by hand: 6 a parameter of a matrix and token, 6 L D T of causal attention, 12
# where both sides are seen; BERT's head on 77 of 512 tokens
ROW = {"gpt2_124m": 1024 * 0.7978, "gpt2_350m": 1024 * 2.2717, "gpt2_774m": 1024 * 4.9158,
       "gpt2_1558m": 1024 * 9.8017, "bert_base": 512 * 0.5879, "bert_large": 512 * 1.9921,
       "t5_base": 425.2, "llama_1b": 2048 * 7.8171}


@pytest.mark.parametrize("name", ROW)
def test_the_arithmetic_of_a_row(name):
    assert accelerator_ours.row_flops(PUBLISHED[name]) == pytest.approx(1e9 * ROW[name], rel=1e-4)


def test_parameters_are_the_published_ones():
    count = lambda name: accelerator_ours.model(
        PUBLISHED[name], vocab=PUBLISHED[name].published).count()
    assert count("gpt2_124m") == 124_439_808 and count("gpt2_1558m") == 1_557_611_200
    assert count("llama_1b") == 1_235_814_400 and count("t5_base") == 247_577_856


def test_batches_have_the_shape_that_is_counted():
    batch = accelerator_ours.batch(TINY["bert_base"], 2)
    assert batch["tokens"].shape == (1, 2, 32) and batch["masked"].shape == (1, 2, 5)
    assert (batch["segments"] == 1).all()  # as every stream gives them: what is measured is trained
    assert accelerator_ours.batch(TINY["t5_base"], 2)["source_tokens"].shape == (1, 2, 16)


@pytest.mark.torch
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_peer_is_the_same_model(name):
    torch = pytest.importorskip("torch")
    from benchmarks import accelerator_peer

    work = PUBLISHED[name]
    kind, settings = accelerator_peer.config(work)
    with torch.device("meta"):
        theirs = sum(p.numel() for p in kind(settings).parameters())
    tied = 32128 * 768 if work.family == "t5" else 0  # see accelerator_peer
    assert theirs == accelerator_ours.model(work).count() - tied
