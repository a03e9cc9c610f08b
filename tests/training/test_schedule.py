"""Learning rates against the published formulas, worked out in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.spec import from_json, to_json
from transformer.training.schedule import (
    Constant, GPT1Cosine, InverseRoot, Noam, Triangle, WarmupCosine, WarmupLinear,
    WarmupTimesLinear,
)
from transformer.training.span import Halving, TokenCosine
from transformer.training.trapezoid import Trapezoid

PEAK, WARMUP, STEPS = 3e-4, 10, 100


def bert(n):
    return PEAK * n / WARMUP if n < WARMUP else PEAK * (1 - min(n, STEPS) / STEPS)


def electra(n):
    return PEAK * (1 - min(n, STEPS) / STEPS) * min(1, n / WARMUP)


def gpt1_linear(n):  # with the fractions of the original: x = n / S, w = warmup / S
    x, w = n / STEPS, WARMUP / STEPS
    return PEAK * max((x / w if x <= w else 1) * (1 - x), 0)


def gpt1_cosine(n):
    x, w = min(n / STEPS, 1), WARMUP / STEPS
    return PEAK * (x / w if x <= w else 0.5 * (1 + math.cos(math.pi * x)))


def nanogpt(n, final=PEAK / 10):
    if n < WARMUP:
        return PEAK * (n + 1) / (WARMUP + 1)
    if n > STEPS:
        return final
    fall = 0.5 * (1 + math.cos(math.pi * (n - WARMUP) / (STEPS - WARMUP)))
    return final + fall * (PEAK - final)


def noam(n):
    s = n + 1
    return 512 ** -0.5 * min(s ** -0.5, s * 4000 ** -1.5)


def distilbert(n):
    return PEAK * (n / WARMUP if n < WARMUP else max(0, (STEPS - n) / (STEPS - WARMUP)))


def sutskever(n):  # 20 updates are an epoch
    epochs, rate = n / 20, 0.7
    for half in range(10, 1000):  # halves of an epoch
        if epochs >= half / 2:
            rate /= 2
    return rate


def modernbert(n):  # the last 20 of 100 fall
    past = (min(max(n, 80), STEPS) - 80) / 20
    return PEAK * min(1, n / WARMUP) * (1 - math.sqrt(past))


LINE = dict(peak=PEAK, warmup=WARMUP, steps=STEPS)
CASES = [
    (WarmupLinear(**LINE), bert),
    (WarmupTimesLinear(**LINE), electra),
    (WarmupTimesLinear(**LINE), gpt1_linear),
    (GPT1Cosine(**LINE), gpt1_cosine),
    (WarmupCosine(**LINE, final=PEAK / 10), nanogpt),
    (Noam(width=512), noam),
    (Triangle(**LINE), distilbert),
    (InverseRoot(), lambda n: 1 / math.sqrt(max(n, 10_000))),
    (InverseRoot(scale=0.5, hold=50), lambda n: 0.5 / math.sqrt(max(n, 50))),
    (TokenCosine(peak=PEAK, batch=500, warmup=5_000, span=50_000), nanogpt),
    (Halving(peak=0.7, epoch=20), sutskever),
    (Trapezoid(**LINE, decay=20), modernbert),
    (Trapezoid(peak=PEAK, warmup=0, steps=9, decay=0), lambda n: PEAK),
    (Constant(peak=PEAK), lambda n: PEAK),
    (Constant(peak=PEAK, warmup=3), lambda n: PEAK * min(1, (n + 1) / 4)),
]


@pytest.mark.parametrize(("schedule", "formula"), CASES)
def test_formula(schedule, formula):
    steps = [*range(STEPS + 5), 3999, 4000, 4001, 100_000]
    expected = [formula(n) for n in steps]
    np.testing.assert_allclose(schedule(jnp.array(steps)), expected, rtol=2e-5, atol=2e-11)
    assert jax.jit(schedule)(jnp.int32(7)) == pytest.approx(formula(7), rel=1e-5)
    assert float(schedule(7)) == pytest.approx(formula(7), rel=1e-5)


@pytest.mark.parametrize("kind", [WarmupLinear, WarmupTimesLinear, GPT1Cosine, Triangle])
def test_counter_read_before_it_moves(kind):
    assert kind(**LINE)(0) == 0


def test_bert_drops_where_warmup_ends_and_electra_does_not():
    rate = WarmupLinear(peak=1.0, warmup=50, steps=100)
    assert float(rate(49)) == pytest.approx(0.98) and float(rate(50)) == pytest.approx(0.5)
    smooth = WarmupTimesLinear(peak=1.0, warmup=50, steps=100)
    assert float(smooth(49)) == pytest.approx(0.98 * 0.51)
    assert float(smooth(50)) == pytest.approx(0.5)


@pytest.mark.parametrize(("width", "peak"), [(512, 6.99e-4), (1024, 4.94e-4)])
def test_noam_peak_of_the_paper(width, peak):
    assert float(Noam(width=width)(3999)) == pytest.approx(peak, rel=1e-3)


def test_gpt3_in_tokens():
    """The 175B model: 3.2M tokens an update, 117 updates of warmup, a tenth after 81,250."""
    rate = TokenCosine(peak=0.6e-4, batch=3_200_000)
    assert float(rate(117)) == pytest.approx(0.6e-4) and float(rate(116)) < 0.6e-4
    assert float(rate(81_250)) == float(rate(93_750)) == pytest.approx(0.6e-5)
    assert float(rate(40_683)) == pytest.approx(0.33e-4, rel=1e-3)  # half way


def test_sutskevers_rates():
    """Five epochs at 0.7; in the last half epoch of 7.5 it has been halved five times."""
    rate = Halving(peak=0.7, epoch=100)
    halved = {0: 0, 499: 0, 500: 1, 549: 1, 550: 2, 600: 3, 650: 4, 700: 5, 749: 5}
    for step, times in halved.items():
        assert float(rate(step)) == pytest.approx(0.7 / 2 ** times), step


@pytest.mark.parametrize("kind", [WarmupLinear, WarmupTimesLinear, GPT1Cosine, WarmupCosine,
                                  Triangle])
def test_no_warmup(kind):
    schedule = kind(peak=1.0, warmup=0, steps=10)
    assert float(schedule(1)) > 0.89 and np.isfinite(schedule(jnp.arange(20))).all()
    assert float(schedule(10)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("make", [
    lambda: WarmupCosine(peak=1e-3, warmup=0, steps=10, final=0.1),
    lambda: WarmupLinear(peak=1e-3, warmup=10, steps=10),
    lambda: Constant(peak=-1.0),
    lambda: Noam(width=0),
    lambda: Triangle(peak=1e-3, warmup=10, steps=10),
    lambda: InverseRoot(hold=0),
    lambda: Trapezoid(peak=1e-3, warmup=50, steps=100, decay=51),
    lambda: Halving(peak=0.7, epoch=10, every=0.0),
    lambda: TokenCosine(peak=1e-3, batch=1_000, warmup=10_000, span=10_000),
])
def test_values_out_of_range(make):
    with pytest.raises(UserError):
        make()


def test_round_trip_as_json():
    for schedule, _ in CASES:
        assert from_json(to_json(schedule)) == schedule
