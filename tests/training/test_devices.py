"""The table of devices holds no row that contradicts itself, and errors of devices one line."""

import jax
import pytest

from transformer.error import explained
from transformer.training.devices import DEVICES, GIB, by_name, of_kind


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.kind)
def test_what_a_program_may_take_is_there(device):
    if device.usable is not None:
        assert 0 < device.usable <= device.memory
    if device.beyond is not None:
        assert device.beyond < device.link


@pytest.mark.parametrize("name, mebibytes", [
    ("h100", 81_559), ("h200", 143_771), ("a100", 81_920), ("a100-40gb", 40_960),
    ("h100-nvl", 95_830), ("b200", 183_359), ("gb200", 189_471), ("l4", 23_034), ("l40s", 46_068)])
def test_memory_is_that_of_the_card(name, mebibytes):
    """Of what nvidia-smi shows CUDA gives all but a few per cent, small cards fewer."""
    assert 0.95 * mebibytes < by_name()[name].memory / GIB * 1024 <= mebibytes


@pytest.mark.parametrize("kind", [
    "NVIDIA A100-SXM-64GB", "NVIDIA H100", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"])
def test_relatives_of_a_card_are_not_taken_for_it(kind):
    assert of_kind(kind) is None


def test_out_of_memory_on_a_device_is_one_line_that_says_what_helps():
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore")
    line, status = explained(full)
    assert status == 2 and "\n" not in line
    assert "Out of memory allocating 9 bytes." in line and "--accumulate" in line
    assert explained(jax.errors.JaxRuntimeError("INTERNAL: gone")) is None
