"""Activations by name. The two forms of GELU differ by up to 4.7e-4: each family names its own."""

import jax
import jax.numpy as jnp

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),  # x Phi(x): Hendrycks 2016 §2
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),  # what GPT and BERT were trained with
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
