"""Linear maps, with gradients written as the matrix products that run fastest on CPU.

Left to itself, XLA copies whole activations to transpose them for the gradient of a weight, or
multiplies them in an order that takes twice as long; a feed-forward layer was 1.5 times slower.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def whole() -> bool:
    """Whether arrays are in one piece here; where rows are sharded, nothing may be flattened."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.empty or mesh.size == 1


def linear(equation: str, x, weight, ins: int = 1):
    """einsum(equation, x, weight), which contracts the last `ins` dimensions of x with the first
    of weight, in the type of x."""
    weight = weight.astype(x.dtype)
    if not whole():
        return jnp.einsum(equation, x, weight)
    inside = math.prod(weight.shape[:ins])
    y = product(x.reshape(-1, inside), weight.reshape(inside, -1))
    return y.reshape(*x.shape[:x.ndim - ins], *weight.shape[ins:])


def unembed(x_BTD, table_VD):
    """The score of every row of a table. -> [B, T, V]"""
    if not whole():
        return jnp.einsum("btd,vd->btv", x_BTD, table_VD)
    B, T, D = x_BTD.shape
    return product_transposed(x_BTD.reshape(-1, D), table_VD).reshape(B, T, -1)


@jax.custom_vjp
def product(x, weight):
    """[n, i] times [i, o]."""
    return x @ weight


@jax.custom_vjp
def product_transposed(x, table):
    """[n, i] times the transpose of [o, i]."""
    return x @ table.T


def outer(a, b):
    """The transpose of a [n, i] times b [n, o], summed over n: the gradient of a weight. -> [i, o]

    The narrower one goes first, and only the result is transposed. The barrier keeps XLA from
    moving that to the operands.
    """
    if a.shape[1] <= b.shape[1]:
        return a.T @ b
    return jax.lax.optimization_barrier(b.T @ a).T


product.defvjp(lambda x, weight: (product(x, weight), (x, weight)),
               lambda kept, g: (g @ kept[1].T, outer(kept[0], g)))
product_transposed.defvjp(lambda x, table: (product_transposed(x, table), (x, table)),
                          lambda kept, g: (g @ kept[1], outer(g, kept[0])))
