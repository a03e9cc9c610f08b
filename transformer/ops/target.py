"""The kind of device a program is traced for: the one at hand, or one it is compiled for ahead."""

from __future__ import annotations

import contextlib
import contextvars

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
    """ "cpu", "gpu" or "tpu"."""
    return _TARGET.get() or jax.default_backend()
