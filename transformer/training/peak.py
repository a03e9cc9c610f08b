"""The peak speed of accelerators, for the share of it that a training step reaches (MFU)."""

from __future__ import annotations

from transformer.training.devices import of_kind


def peak_flops(device_kind: str) -> float | None:
    """FLOP/s of one device in dense bf16; None for an unknown kind: MFU is null, not a guess."""
    device = of_kind(device_kind)
    return device and device.flops
