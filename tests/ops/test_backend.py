"""Which backend computes attention: by device and shape, with a reason in words."""

from __future__ import annotations

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance import CELLS

from transformer.error import UserError
from transformer.nn.context import Run
from transformer.ops import backend, cudnn
from transformer.ops.attention import attend
from transformer.ops.case import Case
from transformer.ops.reach import Causal, Everywhere, Global, Prefix, Window
from transformer.ops.sight import Sight
from transformer.ops.target import compiling_for

PLAIN = Case("gpu", "bfloat16", 1024, 1024, 12, 12, 64, Causal())


@pytest.mark.parametrize("case,chosen,why", [
    (PLAIN, "cudnn", "kernel for this device"),
    (PLAIN._replace(dtype="float32"), "tiles", "takes bfloat16, not float32"),
    (PLAIN._replace(head_dim=68), "tiles", "multiple of 8 up to 128, not 68"),
    (PLAIN._replace(head_dim=256), "tiles", "up to 128, not 256"),
    (PLAIN._replace(dropout=True), "tiles", "drawn per example"),
    (PLAIN._replace(dropout=True, spread=True), "xla", "drawn per example"),
    (PLAIN._replace(bias=True, segments=False), "cudnn", "kernel for this device"),
    (PLAIN._replace(bias=True), "xla", "mask and a trained bias"),
    (PLAIN._replace(queries=1023), "tiles", "even lengths, not 1023 by 1024"),
    (PLAIN._replace(cached=True), "xla", "few queries"),
    (PLAIN._replace(platform="tpu"), "splash", "kernel for this device"),
    (PLAIN._replace(platform="tpu", bias=True), "xla", "adds nothing to the scores"),
    (PLAIN._replace(platform="tpu", dropout=True), "tiles", "no dropout"),
    (PLAIN._replace(platform="tpu", keys=1000), "tiles", "multiples of 128, not 1000"),
    (PLAIN._replace(platform="tpu", reach=Causal() | Prefix(), prefix=True), "tiles",
     "differs from row to row"),
    (PLAIN._replace(platform="tpu", reach=Causal() | Prefix()), "tiles",
     "differs from row to row"),
    (PLAIN._replace(platform="rocm"), "tiles", None),
    (PLAIN._replace(platform="tpu", reach=Window(width=9) | Global(count=1)), "tiles",
     "global tokens of packed documents"),
    (PLAIN._replace(platform="tpu", reach=Window(width=9) | Global(count=1), aligned=True),
     "splash", "kernel for this device"),
    (PLAIN._replace(platform="cpu"), "tiles", None),
])
def test_the_choice_and_its_reason(caplog, case, chosen, why):
    backend.tell.cache_clear()
    with caplog.at_level(logging.INFO, "transformer"):
        assert backend.choose(case) == backend.choose(case) == chosen
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (why is not None)  # once, and nothing where nothing else was expected
    if why:
        assert lines[0].startswith(f"attention: {chosen} (") and why in lines[0]


def test_what_is_asked_for_is_used_or_refused():
    arrays = [jnp.ones((1, 4, 2, 8))] * 3
    sight = Sight(jnp.arange(4)[None], jnp.arange(4)[None])
    with pytest.raises(UserError, match="run.attention=cudnn: cuDNN runs on NVIDIA GPUs from "
                                        "Ampere on, not on"):
        backend.attention(*arrays, sight, 1.0, backend="cudnn")
    programs = {name: str(jax.make_jaxpr(lambda *a, name=name: backend.attention(
        *a, sight, 1.0, backend=name))(*arrays)) for name in ("xla", "tiles", "auto")}
    assert programs["auto"] == programs["tiles"] != programs["xla"]


def test_who_trains_by_a_backend_can_decode(tiny):
    """A cache goes to XLA whatever is asked for; one of the samples of a run would end it else."""
    small, tokens = tiny("gpt2"), jnp.ones((1, 2), jnp.int32)
    texts = []
    for name in ("auto", "tiles"):
        run = Run(attention=name)
        cache = small.model.open(small.params, {"tokens": tokens}, 3, run)
        decode = lambda params, cache, run=run: small.model.decode(params, cache, tokens, run=run)
        texts.append(str(jax.make_jaxpr(decode)(small.params, cache)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("reach,segments,how", [
    (Everywhere(), False, "NO_MASK"), (Causal(), False, "CAUSAL"), (Causal(), True, "CAUSAL"),
    (Causal() & Window(width=100), False, "CAUSAL")], ids=str)
def test_cudnn_is_lowered_for_gpus(monkeypatch, reach, segments, how):
    """The program for a GPU calls cuDNN, forward and backward, with the mask that it knows by name.
    The library itself is not here, so it is only asked to believe that it is."""
    from jax._src.cudnn import fused_attention_stablehlo as library

    monkeypatch.setattr(library, "check_cudnn_version", lambda: 91000)
    case = Case("gpu", "bfloat16", 384, 384, 4, 2, 64, reach, segments=segments)
    q, k = (jax.ShapeDtypeStruct((2, 384, heads, 64), jnp.bfloat16) for heads in (4, 2))
    slots = jax.ShapeDtypeStruct((2, 384), jnp.int32)

    def loss(q, k, v, ids):
        row = jnp.arange(384)[None]
        sight = Sight(row, row, *([ids, ids] if segments else []), reach=reach)
        return backend.attention(q, k, v, sight, 0.125).astype(jnp.float32).sum()

    with compiling_for("gpu"):
        assert backend.choose(case) == "cudnn"
        program = jax.export.export(jax.jit(jax.grad(loss, (0, 1, 2))), platforms=["cuda"],
                                    disabled_checks=[jax.export.DisabledSafetyCheck.custom_call(
                                        f"__cudnn$fmha{kind}Softmax{way}")
                                        for kind in ("", "ScaleBias") for way in ("", "Backward")])
        text = program(q, k, k, slots).mlir_module()
    kind = "ScaleBias" if segments else ""
    assert f"__cudnn$fmha{kind}Softmax(" in text and f"__cudnn$fmha{kind}SoftmaxBackward(" in text
    assert f'"mask_type": "{how}"' in text.replace("\\22", '"')
    window = 101 if reach == Causal() & Window(width=100) else 0
    assert f'"sliding_window_length": {window}' in text.replace("\\22", '"')


def test_cudnn_adds_the_bias():
    """Beyond the matrix, whose rows all hold padding or several documents."""
    draw = np.random.default_rng(0)
    q, k, v = (jnp.asarray(draw.standard_normal((2, 8, 4, 16)), jnp.float32) for _ in range(3))
    bias_BHTS = jnp.asarray(draw.standard_normal((1, 4, 8, 8)), jnp.float32)
    row = jnp.arange(8)[None]
    case = Case("gpu", "float32", 8, 8, 4, 4, 16, Causal(), segments=False, bias=True)
    sight = Sight(row, row, reach=Causal())
    got = cudnn.attend(case, q, k, v, sight, 0.3, bias_BHTS, implementation="xla")
    want = attend(q, k, v, sight.see(), 0.3, bias_BHTS=bias_BHTS)
    np.testing.assert_allclose(got, want, atol=2e-6)


def test_cudnn_is_given_a_mask_where_slots_are_not_those_of_the_row():
    """It would count a part of a row's queries from the first key."""
    for reach in (Causal(), Causal() & Window(width=3)):
        alone = PLAIN._replace(reach=reach, segments=False)
        assert not cudnn.masked(alone) and cudnn.masked(alone._replace(parted=True))


def test_the_page_says_what_the_matrix_says():
    from conformance import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page()
    assert len(CELLS) == 288


def test_key_value_heads_are_enough_for_the_devices():
    """Heads are repeated until devices share them evenly; each query head keeps its own."""
    x = jnp.arange(2.0)[None, None, :, None]
    np.testing.assert_array_equal(backend._enough(x, 4)[0, 0, :, 0], [0, 0, 1, 1])
    np.testing.assert_array_equal(backend._enough(x, 2)[0, 0, :, 0], [0, 1])
    assert backend._enough(jnp.ones((1, 1, 6, 1)), 4).shape[2] == 12  # 6 groups, 12 query heads
