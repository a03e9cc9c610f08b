"""These tests compile many programs and run each for a moment: the compiler may hurry."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def hurry():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
