"""How weights begin. A value because families differ, and because exact reproduction needs it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from transformer.spec import Spec


class Normal(Spec):
    """N(0, std^2) (Radford 2018 §4.1)."""

    std: float = 0.02

    def __call__(self, ins: int):
        return jax.nn.initializers.normal(self.std)


class Truncated(Spec):
    """A normal cut at two `std`, not rescaled: its deviation is 0.88 std (Devlin 2019)."""

    std: float = 0.02

    def __call__(self, ins: int):
        def init(key, shape, dtype=jnp.float32):
            return self.std * jax.random.truncated_normal(key, -2, 2, shape, dtype)

        return init


class FanIn(Spec):
    """N(0, 1 / fan in), as T5 and PaLM begin (Chowdhery 2022 §5)."""

    def __call__(self, ins: int):
        """`ins`: how many leading dimensions of the weight are inputs."""

        def init(key, shape, dtype=jnp.float32):
            return jax.random.normal(key, shape, dtype) * math.prod(shape[:ins]) ** -0.5

        return init


class Glorot(Spec):
    """Uniform with variance 2 / (fan in + fan out) (Glorot 2010), as Vaswani 2017 trained."""

    def __call__(self, ins: int):
        """`ins`: how many leading dimensions of the weight are inputs."""

        def init(key, shape, dtype=jnp.float32):
            bound = math.sqrt(6 / (math.prod(shape[:ins]) + math.prod(shape[ins:])))
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return init


class Uniform(Spec):
    """Between -bound and bound, whatever the shape (Sutskever 2014 §3.4)."""

    bound: float

    def __call__(self, ins: int):
        def init(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -self.bound, self.bound)

        return init


class Orthogonal(Spec):
    """A random rotation, one for each gate of a recurrent weight [D, Z, D] (Bahdanau 2015 App. B).

    Where the sides differ, the shorter one is orthonormal.
    """

    def __call__(self, ins: int):
        def init(key, shape, dtype=jnp.float32):
            rows, *gates, columns = shape
            one = lambda k: jax.nn.initializers.orthogonal()(k, (rows, columns), dtype)
            made = jax.vmap(one)(jax.random.split(key, math.prod(gates)))
            return jnp.moveaxis(made, 0, 1).reshape(shape)

        return init


class Zeros(Spec):
    """All zero."""

    def __call__(self, ins: int):
        return jax.nn.initializers.zeros
