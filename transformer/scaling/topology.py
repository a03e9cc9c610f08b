"""Which machine is planned for: `v5p:8x8x8` is a slice of a TPU pod, `h100:8` a host of GPUs.

Nothing here needs JAX until `devices` is asked for: what libtpu and simulated devices need must be
in the environment before JAX starts.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import re

from transformer.error import UserError
from transformer.spec import nearest
from transformer.training.devices import PREALLOCATED, Device, by_name

CPU = Device("cpu", flops=None, name="cpu")  # simulated devices, to try things: no figure is known
EXAMPLES = "v5p:8x8x8, v5e:4x4, h100:8, h200:1"
# Any type serves every topology; without these libtpu asks the network which machine it is on.
_LIBTPU = {"TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5p-8",
           "TPU_WORKER_HOSTNAMES": "localhost", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
           "TPU_STDERR_LOG_LEVEL": "3", "TPU_MIN_LOG_LEVEL": "3"}
_LARGEST = 512  # devices that are simulated
_SHARES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")  # JAX's; the old name last


@dataclasses.dataclass(frozen=True)
class Topology:
    """text: as the user wrote it. shape: chips along each axis; of GPUs hosts x GPUs, or GPUs."""

    text: str
    device: Device
    shape: tuple[int, ...]

    @property
    def is_tpu(self) -> bool:
        """Whether libtpu compiles for it; all others are estimated from a program for CPUs."""
        return self.device.kind.startswith("TPU")

    @property
    def size(self) -> int:
        """JAX devices."""
        return round(math.prod(self.shape) / self.device.chips)

    @property
    def chips(self) -> int:
        """What is rented."""
        return math.prod(self.shape)

    @property
    def joined(self) -> int:
        """Devices in one fast network."""
        if self.is_tpu:
            return self.size
        return self.shape[-1] if len(self.shape) > 1 else self.device.joined or self.size


def parse(text: str) -> Topology:
    """`NAME:AxBxC`.

    Raises:
      UserError: no such device, with the nearest names, or no such shape; of GPUs also a share of
        their memory in the environment that JAX would not take.
    """
    name, _, sizes = text.partition(":")
    known = by_name() | {"cpu": CPU}
    if name not in known:
        raise UserError(f"--topology={text}: no device {name!r}{nearest(name, known)}; there are "
                        f"{', '.join(known)}")
    shape = tuple(int(n) for n in sizes.split("x")) if re.fullmatch(r"\d+(x\d+)*", sizes) else ()
    if not shape or 0 in shape:
        raise UserError(f"--topology={text}: say how many, as in {EXAMPLES}")
    topology = Topology(text, known[name], shape)
    if topology.is_tpu:
        return topology
    if len(shape) > 2:
        raise UserError(f"--topology={text}: GPUs are NAME:COUNT or NAME:HOSTSxGPUS, as h100:4x8")
    if topology.size > _LARGEST:
        raise UserError(f"--topology={text}: {_LARGEST} devices can be simulated at most")
    if len(shape) == 2 and known[name].joined and shape[1] > known[name].joined:
        raise UserError(f"--topology={text}: a host joins {known[name].joined} of them; write "
                        f"{name}:HOSTSx{known[name].joined}")
    device, share = topology.device, _share()
    usable = device.memory and device.memory * share
    return dataclasses.replace(topology, device=dataclasses.replace(device, usable=usable))


def _share() -> float:
    """Of a GPU's memory: what JAX takes in this environment. An empty setting is none, as there."""
    told = {name: os.environ[name] for name in _SHARES if os.environ.get(name)}
    if len(told) > 1:
        raise UserError(f"{' and '.join(told)} are both set, which JAX refuses; unset the latter")
    for name, text in told.items():
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise UserError(f"{name}={text}: the share of a GPU's memory that JAX takes is above 0 "
                            f"and at most 1, as {PREALLOCATED}")
        return share
    return PREALLOCATED


def environment(topology: Topology) -> dict[str, str]:
    """What must be set before JAX starts. A program compiled for elsewhere is not worth caching.

    Raises:
      UserError: a TPU without libtpu.
    """
    shared = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    if not topology.is_tpu:
        return {**shared, "JAX_NUM_CPU_DEVICES": str(topology.size)}
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("planning for TPUs needs libtpu, which runs on any Linux machine: "
                        "pip install -c constraints.txt -e '.[tpu]'")
    return {**shared, **_LIBTPU}


def devices(topology: Topology) -> list:
    """The devices to compile for, in a process that began with `environment`.

    Raises:
      UserError: libtpu knows no such slice.
    """
    import jax
    from jax.experimental import topologies

    if not topology.is_tpu:
        return jax.devices()
    more = {}
    if topology.device.name == "v4":
        more["chip_config_name"] = "megacore"  # both cores of a chip as one device, as it runs
    if topology.chips < 4:
        more["chips_per_host_bounds"] = (*topology.shape, 1, 1, 1)[:3]
    try:
        found = topologies.get_topology_desc(topology.text, platform="tpu", **more).devices
    except jax.errors.JaxRuntimeError as error:
        why = str(error).splitlines()[0].removeprefix("INVALID_ARGUMENT: ")
        raise UserError(f"--topology={topology.text}: {why}; slices of {topology.device.name} are "
                        f"written as in {EXAMPLES}") from None
    return list(found)
