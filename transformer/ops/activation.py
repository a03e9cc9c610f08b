"""Activations by name. The two forms of GELU differ by up to 4.7e-4: each family names its own."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp


# The backward pass keeps the argument alone: the steps between are cheaper to make again than to
# fetch, and would be two or three arrays of the widest kind.
remade = jax.checkpoint

ACTIVATIONS = {
    "relu": jax.nn.relu,
    # x Phi(x): Hendrycks 2016 §2
    "gelu": remade(functools.partial(jax.nn.gelu, approximate=False)),
    # its approximation, which GPT and BERT were trained with
    "gelu_tanh": remade(functools.partial(jax.nn.gelu, approximate=True)),
    "silu": remade(jax.nn.silu),
    "tanh": jnp.tanh,
}
Activation = Literal[tuple(ACTIVATIONS)]
