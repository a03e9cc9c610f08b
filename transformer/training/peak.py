"""The peak speed of accelerators, for the share of it that a training step reaches (MFU).

A device that is not in the table has no peak here: MFU is then null instead of a guess.
"""

from __future__ import annotations

import re

# Dense bf16 FLOP/s of one JAX device, by the start of `device.device_kind`; first match wins.
# From the vendors' data sheets; halves where a chip shows up as two devices.
_PEAKS = (
    ("NVIDIA GB200", 2.5e15),
    ("NVIDIA B200", 2.25e15),
    ("NVIDIA GH200", 989.4e12),
    ("NVIDIA H200 NVL", 835e12),
    ("NVIDIA H200", 989.4e12),
    ("NVIDIA H100 NVL", 835e12),
    ("NVIDIA H100 PCIe", 756e12),
    ("NVIDIA H100", 989.4e12),
    ("NVIDIA A100", 312e12),
    ("NVIDIA L40S", 362e12),
    ("NVIDIA L4", 121e12),
    ("NVIDIA A10G", 70e12),
    ("TPU7x", 2307e12 / 2),
    ("TPU v6 lite", 918e12),
    ("TPU v6e", 918e12),
    ("TPU v5 lite", 197e12),
    ("TPU v5e", 197e12),
    ("TPU v5p", 459e12),
    ("TPU v5", 459e12),
    ("TPU v4 lite", 138e12),
    ("TPU v4", 275e12),
    ("TPU v3", 123e12 / 2),
    ("TPU v2", 45e12 / 2),
)


def peak_flops(device_kind: str) -> float | None:
    """FLOP/s of one device in dense bf16, or None for an unknown kind."""
    for start, peak in _PEAKS:
        if re.match(re.escape(start) + r"\b", device_kind, re.IGNORECASE):
            return peak
    return None
