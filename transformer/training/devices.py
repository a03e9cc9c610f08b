"""What accelerators can do, from their vendors' data sheets: one table for measuring and planning.

A device or a figure that is not in the table is None: it is shown as n/a, never guessed.
"""

from __future__ import annotations

import dataclasses
import re

GIB = 2**30
PREALLOCATED = 0.75  # the share of a GPU's memory that JAX takes if nobody says otherwise


@dataclasses.dataclass(frozen=True)
class Device:
    """One JAX device.

    kind: the beginning of `device.device_kind`. name: as `plan --topology` calls it, if it can.
    flops: FLOP/s in dense bf16. memory: bytes of HBM; usable: what a program may take of it, of a
      GPU where JAX is not told otherwise.
    bandwidth: bytes/s of HBM.
    link: bytes/s that it sends to its neighbours, all links together, one direction.
    joined: how many one such network joins; None for all of a pod. beyond: bytes/s that it sends
      between those.
    chips: of which it is a part: a half where a chip shows up as two devices.
    """

    kind: str
    flops: float | None
    name: str | None = None
    memory: float | None = None
    usable: float | None = None
    bandwidth: float | None = None
    link: float | None = None
    joined: int | None = None
    beyond: float | None = None
    chips: float = 1.0


def _gpu(kind, flops, name=None, gib=None, bandwidth=None, link=None, joined=8, beyond=None):
    """gib: what CUDA shows a program, rounded down. link: of the data sheet, both directions."""
    memory = gib and gib * GIB
    return Device(kind, flops, name, memory, memory and memory * PREALLOCATED, bandwidth,
                  link and link / 2, joined, beyond)


def _tpu(kind, flops, name=None, memory=None, usable=None, bandwidth=None, link=None, chips=1.0):
    """All of a whole chip but `usable`: GiB, what libtpu lets a program take of one device."""
    return Device(kind, flops * chips, name, memory and memory * chips * GIB,
                  usable and usable * GIB, bandwidth and bandwidth * chips, link and link * chips,
                  chips=chips)


# The first whose kind a device's begins with: a kind is as long as it must be to tell a card from
# its relatives. GPUs: NVIDIA's data sheets of each card, A10G's as AWS publishes it; `beyond` of
# DGX (one 400 Gb/s adapter for each H100 or H200, one 200 Gb/s for each A100). Their memory: the
# total that CUDA tells, as a sheet's GB are not 1e9 bytes (H200: 141 GB there, 139.8 GiB here).
# B200's bandwidth: of the bus that its driver tells, 7,680 bits at 2 x 3,996 MHz; the sheet of DGX
# B200 says 8 TB/s.
# TPUs: the pages "TPU v3" to "TPU7x" of Google Cloud's documentation (v5p: 95 GiB there, the
# compiler knows of 95.74); v2's peak from Jouppi 2020; v4's links from Jouppi 2023, Table 4.
DEVICES = (
    _gpu("NVIDIA GB200", 2.5e15, "gb200", 184, 8.0e12, 1.8e12, joined=72),
    _gpu("NVIDIA B200", 2.25e15, "b200", 178, 7.7e12, 1.8e12),
    _gpu("NVIDIA GH200", 989.4e12),  # with 96 or 144 GB
    _gpu("NVIDIA H200 NVL", 835e12, "h200-nvl", 139, 4.8e12, 900e9, joined=4),
    _gpu("NVIDIA H200", 989.4e12, "h200", 139, 4.8e12, 900e9, beyond=50e9),
    _gpu("NVIDIA H100 NVL", 835e12, "h100-nvl", 93, 3.9e12, 600e9, joined=2),
    _gpu("NVIDIA H100 PCIe", 756e12, "h100-pcie", 79, 2.0e12, 600e9, joined=2),
    _gpu("NVIDIA H100 80GB HBM3", 989.4e12, "h100", 79, 3.35e12, 900e9, beyond=50e9),
    _gpu("NVIDIA A100-SXM4-40GB", 312e12, "a100-40gb", 39, 1.555e12, 600e9),
    _gpu("NVIDIA A100-PCIE-40GB", 312e12, None, 39, 1.555e12, 600e9, joined=2),
    _gpu("NVIDIA A100 80GB PCIe", 312e12, None, 79, 1.935e12, 600e9, joined=2),
    _gpu("NVIDIA A100-SXM4-80GB", 312e12, "a100", 79, 2.039e12, 600e9, beyond=25e9),
    _gpu("NVIDIA L40S", 362e12, "l40s", 44, 864e9, 64e9),
    _gpu("NVIDIA L4", 121e12, "l4", 22, 300e9, 64e9),
    _gpu("NVIDIA A10G", 70e12),
    _tpu("TPU7x", 2307e12, "tpu7x", 192, 94.75, 7380e9, 600e9, chips=0.5),
    _tpu("TPU v6 lite", 918e12, "v6e", 32, 31.25, 1638e9, 400e9),
    _tpu("TPU v6e", 918e12),
    _tpu("TPU v5 lite", 197e12, "v5e", 16, 15.75, 819e9, 200e9),
    _tpu("TPU v5e", 197e12),
    _tpu("TPU v5p", 459e12),
    _tpu("TPU v5", 459e12, "v5p", 95.74, 95.74, 2765e9, 600e9),
    _tpu("TPU v4 lite", 138e12),
    _tpu("TPU v4", 275e12, "v4", 32, 30.75, 1200e9, 300e9),
    _tpu("TPU v3", 123e12, "v3", 32, 15.48, 900e9, chips=0.5),
    _tpu("TPU v2", 46e12, "v2", 16, 7.48, chips=0.5),
)


def of_kind(kind: str) -> Device | None:
    """The device that calls itself so, or None for an unknown one, or for a part of a GPU (MIG)."""
    if re.search(r"\bMIG\b", kind):
        return None
    return next((device for device in DEVICES
                 if re.match(re.escape(device.kind) + r"\b", kind, re.IGNORECASE)), None)


def by_name() -> dict[str, Device]:
    """The devices that can be planned for, by the names of `plan --topology`."""
    return {device.name: device for device in DEVICES if device.name}
