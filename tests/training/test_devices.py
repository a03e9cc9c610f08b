"""The table of devices holds no row that contradicts itself, and errors of devices one line."""

import jax
import pytest

from transformer.error import explained
from transformer.training.devices import DEVICES


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.kind)
def test_what_a_program_may_take_is_there(device):
    if device.usable is not None:
        assert 0 < device.usable <= device.memory
    if device.beyond is not None:
        assert device.beyond < device.link


def test_out_of_memory_on_a_device_is_one_line_that_says_what_helps():
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore")
    line, status = explained(full)
    assert status == 2 and "\n" not in line
    assert "Out of memory allocating 9 bytes." in line and "--accumulate" in line
    assert explained(jax.errors.JaxRuntimeError("INTERNAL: gone")) is None
