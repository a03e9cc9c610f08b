"""Greedy and sampled answers: every row goes its own way."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from transformer.generation.beam import append
from transformer.ops.dropout import example_keys, fold
from transformer.spec import Spec


@dataclasses.dataclass(frozen=True)
class Alone:
    """Greedy or Sample with the doors of `beam.Beam`.

    Its state: the `token` [B] chosen last; `tokens` [B, T], all of them; `done` and `lengths` [B];
    `log_probability` [B] under the model; the random `keys` [B].
    """

    choose: Spec

    @property
    def rows(self) -> int:
        """Answers that are under way for each prompt, each a row of the cache."""
        return getattr(self.choose, "answers", 1)

    def start(self, state: dict, key, index_P) -> dict:
        """The state before the first token."""
        key = jax.random.key(0) if key is None else key
        index_PN = index_P[:, None] * self.rows + jnp.arange(self.rows)[None]
        zeros_B = jnp.zeros(index_PN.size, jnp.int32)
        return {**state, "keys": example_keys(key, index_PN.reshape(-1)), "lengths": zeros_B,
                "log_probability": zeros_B.astype(jnp.float32)}

    def step(self, state: dict, logits_BV, ends: dict, rule) -> dict:
        """The state with one more token in every row. rule: scores [B, V] -> scores."""
        done_B = state["done"]
        chosen_B = self.choose(rule(logits_BV), fold(state["keys"], state["count"]))
        logits_BV = logits_BV.astype(jnp.float32)
        chosen_B1 = jnp.take_along_axis(logits_BV, chosen_B[:, None], 1)
        nats_B = chosen_B1[:, 0] - jax.nn.logsumexp(logits_BV, -1)
        token_B = jnp.where(done_B, ends["pad"], chosen_B)
        return {**state, "token": token_B, "done": done_B | jnp.isin(chosen_B, ends["stop"]),
                "tokens": append(state["tokens"], token_B, state["count"]),
                "lengths": state["lengths"] + ~done_B,
                "log_probability": state["log_probability"] + jnp.where(done_B, 0, nats_B),
                "count": state["count"] + 1}

    def results(self, state: dict) -> dict:
        """The answers, those of a prompt side by side."""
        return {name: state[name] for name in ("tokens", "lengths", "log_probability")}
