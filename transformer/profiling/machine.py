"""What the device can do at all, measured: products of matrices, and reading and writing memory."""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp

LARGE = 8192  # of each side of the product on an accelerator (performance is flat from there on)
SMALL = (4096, 256, 1024)  # on a CPU, where a layer of some size looks like this
COPIED = {"cpu": 2**28}  # bytes of the array that is copied; many times the caches
ROUNDS = 5


def matmul_rate(dtype: str, large: int = LARGE) -> float:
    """FLOP/s of the first device at a product of two matrices of random numbers: the best of a few
    rounds on CPUs, whose cores others use, the median elsewhere."""
    rows, inside, columns = SMALL if _cpu() else (large, large, large)
    keys = jax.random.split(jax.random.key(0))
    a = jax.random.normal(keys[0], (rows, inside), dtype)
    b = jax.random.normal(keys[1], (inside, columns), dtype)
    product = jax.jit(jnp.matmul)
    return 2.0 * rows * inside * columns / _seconds(lambda: product(a, b), 10)


def bandwidth(nbytes: int | None = None) -> float:
    """Bytes a second that the first device reads and writes, both counted, in a large copy."""
    nbytes = nbytes or COPIED.get(jax.default_backend(), 2**32)
    x = jnp.ones(nbytes // 4, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    return 2.0 * x.nbytes / _seconds(lambda: copy(x), 4)


def _seconds(call, times: int) -> float:
    """Of one call, when several follow each other without a pause."""
    jax.block_until_ready(call())
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            last = call()
        jax.block_until_ready(last)
        rounds.append((time.perf_counter() - began) / times)
    return min(rounds) if _cpu() else statistics.median(rounds)


def _cpu() -> bool:
    return jax.default_backend() == "cpu"
