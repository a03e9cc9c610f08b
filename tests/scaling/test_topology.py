"""Machines by name: shapes, what must be set before JAX starts, mistakes."""

import pytest

from transformer.error import UserError
from transformer.scaling.topology import environment, parse
from transformer.training.devices import GIB

SHARES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


@pytest.mark.parametrize("text, size, chips, joined", [
    ("v5p:8x8x8", 512, 512, 512), ("v5e:4x4", 16, 16, 16), ("v4:2x2x1", 4, 4, 4),
    ("tpu7x:2x2x1", 8, 4, 8),  # two devices a chip
    ("h100:8", 8, 8, 8), ("h200:1", 1, 1, 8), ("a100:16", 16, 16, 8), ("h100:4x2", 8, 8, 2)])
def test_sizes(text, size, chips, joined):
    found = parse(text)
    assert (found.size, found.chips, found.joined) == (size, chips, joined)


@pytest.mark.parametrize("text, words", [
    ("v5q:8x8x8", ["'v5q'", "v5p or v5e", "h100"]), ("h10:8", ["h100"]),
    ("v5p", ["how many", "v5p:8x8x8"]), ("v5p:8xx8", ["how many"]), ("h100:0", ["how many"]),
    ("h100:2x2x2", ["HOSTSxGPUS"]), ("h100:2x9", ["joins 8", "h100:HOSTSx8"]),
    ("h100:1024", ["512"])])
def test_mistakes_name_what_would_do(text, words):
    with pytest.raises(UserError) as error:
        parse(text)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("settings, share", [
    ({}, 0.75), ({SHARES[0]: "0.5"}, 0.5), ({SHARES[1]: ".9"}, 0.9), ({SHARES[1]: ""}, 0.75)])
def test_a_gpu_gives_the_share_that_jax_is_told_to_take(monkeypatch, settings, share):
    _set(monkeypatch, settings)
    assert parse("h100:8").device.usable == pytest.approx(share * 79 * GIB)
    assert parse("v5e:2x2").device.usable == 15.75 * GIB


@pytest.mark.parametrize("settings, words", [
    ({SHARES[1]: "most"}, [SHARES[1] + "=most", "0.75"]), ({SHARES[0]: "0"}, [SHARES[0] + "=0"]),
    ({SHARES[0]: "75"}, [SHARES[0] + "=75"]), ({SHARES[0]: "nan"}, [SHARES[0] + "=nan"]),
    (dict.fromkeys(SHARES, "0.5"), [*SHARES, "unset"])])
def test_a_share_that_jax_would_not_take_is_a_mistake(monkeypatch, settings, words):
    _set(monkeypatch, settings)
    with pytest.raises(UserError) as error:
        parse("h100:8")
    assert all(word in str(error.value) for word in words)
    parse("v5e:2x2")  # no TPU asks


def _set(monkeypatch, settings):
    for name in SHARES:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_gpus_are_simulated():
    found = environment(parse("h100:4x8"))
    assert found["JAX_NUM_CPU_DEVICES"] == "32" and found["JAX_PLATFORMS"] == "cpu"
    assert found["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_a_tpu_without_libtpu_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install .*\.\[tpu\]"):
        environment(parse("v5p:2x2x1"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert environment(parse("v5p:2x2x1"))["ALLOW_MULTIPLE_LIBTPU_LOAD"] == "1"
