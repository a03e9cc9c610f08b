"""Peaks of known devices; no guess for unknown ones."""

import pytest

from transformer.training.peak import peak_flops


@pytest.mark.parametrize(("kind", "peak"), [
    ("NVIDIA H100 80GB HBM3", 989.4e12), ("NVIDIA H200", 989.4e12), ("NVIDIA H100 PCIe", 756e12),
    ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA L4", 121e12), ("TPU v4", 275e12),
    ("TPU v5 lite", 197e12), ("TPU v5p", 459e12), ("TPU v5", 459e12), ("TPU v6 lite", 918e12),
    ("TPU v2", 23e12)])  # a core, of 46e12 a chip
def test_known_devices(kind, peak):
    assert peak_flops(kind) == peak


@pytest.mark.parametrize("kind", ["cpu", "", "NVIDIA L40", "NVIDIA A10", "NVIDIA H1000", "TPU v9",
                                  "My NVIDIA H100"])
def test_unknown_devices(kind):
    assert peak_flops(kind) is None
