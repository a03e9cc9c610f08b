"""The kind of device a program is traced for: the one at hand, or one it is compiled for ahead."""

from __future__ import annotations

import contextlib
import contextvars
import functools

import jax

_TARGET = contextvars.ContextVar("target", default=None)


@contextlib.contextmanager
def compiling_for(platform: str):
    """What is traced inside is meant for "cpu", "gpu" or "tpu", whatever device traces it."""
    token = _TARGET.set(platform)
    try:
        yield
    finally:
        _TARGET.reset(token)


def platform() -> str:
    """ "cpu", "gpu" (NVIDIA's, from compute capability 8.0 on), "tpu", or what else there is."""
    return _TARGET.get() or _here()


@functools.cache
def _here() -> str:
    name = jax.default_backend()
    if name != "gpu":
        return name
    device = jax.devices()[0]
    if "rocm" in device.client.platform_version.lower():
        return "rocm"
    return "gpu" if float(getattr(device, "compute_capability", 8)) >= 8 else "an older GPU"
