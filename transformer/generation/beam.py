"""Beam search: the likeliest answers that were found, not the likeliest next token."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from transformer.error import UserError
from transformer.ops.linear import whole
from transformer.spec import Count, Spec

BLOCK = 64  # scores that are looked at together in the search for the highest


class PowerPenalty(Spec):
    """n^alpha: an answer of n tokens, its end included, is scored by log-probability / n^alpha.

    With alpha 1 this is the mean over its tokens; with 0 the log-probability itself.
    """

    alpha: float = 1.0

    def __call__(self, n):
        return jnp.asarray(n, jnp.float32) ** self.alpha


class WuPenalty(Spec):
    """((5 + n) / 6)^alpha (Wu 2016 §7). Vaswani 2017 §6.1 takes alpha 0.6 and width 4."""

    alpha: float = 0.6

    def __call__(self, n):
        return ((5 + jnp.asarray(n, jnp.float32)) / 6) ** self.alpha


class Beam(Spec):
    """Keeps the `width` likeliest beginnings of an answer, and the best `width` whole answers.

    answers: how many each prompt gets, best first. penalty: what a log-probability is divided by.
    until: when a prompt is done, besides at its last token.
      "likely": `width` answers ended, and no beginning beats the worst of them at its own length.
        What Hugging Face does by default; where length is rewarded it may miss a better answer.
      "full": `width` answers ended. "sure": no beginning can still come among the `answers`.

    A prompt's beginnings are the branches of a row of the cache. Beside the cache goes a state of
    beginnings [B] and prompts [P], B = P width: `token` [B] chosen last; `tokens` [B, T], all of
    them; `parent` [P, width], the branch that each continues; `done` [B]; `log_probability` [B]
    under the model; `sum` [P, width] of the scores that are searched by; and `ended`, the whole
    answers best first: their `score` [P, width], `tokens` [P, width, T], `lengths`,
    `log_probability`.
    """

    width: Count
    answers: Count = 1
    penalty: PowerPenalty | WuPenalty = PowerPenalty()
    until: Literal["likely", "full", "sure"] = "likely"

    def check(self):
        if self.answers > self.width:
            raise UserError(f"{self.answers} answers are asked of {self.width} beams; ask for at "
                            "most as many answers as beams")

    @property
    def rows(self) -> int:
        """Answers that are under way for each prompt."""
        return self.width

    def start(self, state: dict, key, index_P) -> dict:
        """The state before the first token; all rows of a prompt are equal, so only one counts."""
        B, T = state["tokens"].shape
        P, K = B // self.width, self.width
        first_PK = jnp.where(jnp.arange(K)[None] == 0, jnp.zeros((P, K)), -jnp.inf)
        ended = {"score": jnp.full((P, K), -jnp.inf), "tokens": state["tokens"].reshape(P, K, T),
                 "lengths": jnp.zeros((P, K), jnp.int32), "log_probability": jnp.zeros((P, K))}
        return {**state, "sum": first_PK, "log_probability": jnp.zeros(B), "ended": ended}

    def step(self, state: dict, logits_BV, ends: dict, rule) -> dict:
        """The state with one more token in every row. rule: scores [B, V] -> scores."""
        K, (B, V) = self.width, logits_BV.shape
        P, n = B // K, state["count"] + 1
        nats_BV = jax.nn.log_softmax(logits_BV.astype(jnp.float32))
        total_PKV = state["sum"][:, :, None] + rule(nats_BV).reshape(P, K, V)
        # Each beginning ends in at most every stop token once, so width of these do not end.
        wide = min((1 + max(1, len(ends["stop"]))) * K, K * V)
        total_PN, place_PN = likeliest(total_PKV.reshape(P, K * V), wide)
        token_PN, beam_PN = place_PN % V, place_PN // V
        row_PN = jnp.arange(P)[:, None] * K + beam_PN
        nats_PN = state["log_probability"][row_PN] + nats_BV[row_PN, token_PN]
        end_PN = jnp.isin(token_PN, ends["stop"]) | (n == ends["tokens"])

        sum_PK, live_PK = likeliest(jnp.where(end_PN, -jnp.inf, total_PN), K)
        parent_PK, row_PK, token_PK, nats_PK = (jnp.take_along_axis(x_PN, live_PK, 1)
                                                for x_PN in (beam_PN, row_PN, token_PN, nats_PN))
        row_B, token_B, nats_B = (x_PK.reshape(B) for x_PK in (row_PK, token_PK, nats_PK))
        # What is less likely than width others is there to go on, not to end.
        end_PK = end_PN[:, :K] & ~state["done"].reshape(P, K)
        whole = {"score": jnp.where(end_PK, total_PN[:, :K] / self.penalty(n), -jnp.inf),
                 "tokens": append(state["tokens"][row_PN[:, :K]], token_PN[:, :K], n - 1),
                 "lengths": jnp.full((P, K), n), "log_probability": nats_PN[:, :K]}
        ended = best(state["ended"], whole)
        done_P = state["done"].reshape(P, K)[:, 0] | self.hopeless(
            sum_PK[:, 0], ended["score"], n, ends["tokens"])
        return {**state, "token": token_B, "parent": parent_PK, "sum": sum_PK, "ended": ended,
                "tokens": append(state["tokens"][row_B], token_B, n - 1), "count": n,
                "log_probability": nats_B, "done": jnp.repeat(done_P, K)}

    def hopeless(self, live_P, score_PK, n, most):
        """Which prompts are done: their likeliest beginning of n tokens against whole answers."""
        if self.until == "full":
            return score_PK[:, -1] > -jnp.inf
        if self.until == "likely":
            return live_P / self.penalty(n) <= score_PK[:, -1]
        # log-probabilities only fall; the penalty is largest at the first or last length to come
        bound = jnp.maximum(self.penalty(n + 1), self.penalty(most))
        return live_P / bound <= score_PK[:, self.answers - 1]

    def results(self, state: dict) -> dict:
        """The answers, those of a prompt side by side: [P answers, ...]."""
        return jax.tree.map(lambda x: x[:, :self.answers].reshape(-1, *x.shape[2:]), state["ended"])


def likeliest(scores_PN, count: int):
    """The `count` highest of each row and their places, highest first, the first of equals.

    They are in the `count` blocks of highest maximum, so most of a long row is only read for
    maxima. Behind barriers: where XLA on CPU can merge a slice of the result into the search, it
    sorts all of the row instead (four fifths of the time of beam search).
    """
    P, N = scores_PN.shape
    blocks = -(-N // BLOCK)
    if blocks <= 4 * count:
        return _barred(jax.lax.top_k(scores_PN, count))
    filled_PN = jnp.pad(scores_PN, ((0, 0), (0, blocks * BLOCK - N)), constant_values=-jnp.inf)
    filled_PMN = filled_PN.reshape(P, blocks, BLOCK)
    _, block_PK = _barred(jax.lax.top_k(filled_PMN.max(-1), count))
    block_PK = jnp.sort(block_PK)  # so that an earlier one of equals stays the first
    near_PKN = jnp.take_along_axis(filled_PMN, block_PK[:, :, None], 1)
    value_PK, place_PK = _barred(jax.lax.top_k(near_PKN.reshape(P, count * BLOCK), count))
    near_PK = jnp.take_along_axis(block_PK, place_PK // BLOCK, 1)
    return value_PK, near_PK * BLOCK + place_PK % BLOCK


def _barred(found):
    """Behind a barrier; not under a mesh, where XLA's partitioner looks for the search's results
    right behind it, and dies."""
    return jax.lax.optimization_barrier(found) if whole() else found


def append(tokens, last, n):
    """Rows of tokens [..., T] with `last` [...] as number n."""
    return jax.lax.dynamic_update_slice_in_dim(tokens, last[..., None], n, tokens.ndim - 1)


def best(old: dict, new: dict) -> dict:
    """The width best of both, best first; the older of equals."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), old, new)
    _, place_PK = likeliest(both["score"], old["score"].shape[1])
    row_P1 = jnp.arange(len(place_PK))[:, None]
    return jax.tree.map(lambda x: x[row_P1, place_PK], both)
