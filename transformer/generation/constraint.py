"""What the next token may be: rules over its scores, applied in the order in which they are given.

Scores are logits before Greedy and Sample and log-probabilities before Beam. What a rule changes is
not normalised again, unless Normalised is the last. Both are as in Hugging Face, so that answers
and scores agree with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from transformer.error import UserError
from transformer.spec import Count, Natural, Spec


class Seen(NamedTuple):
    """What came before the next token of every row.

    prompt_BT: ids, ending on the right, -1 where there is padding. new_BT: the ids chosen since,
    the first `count` of them. stop_E: tokens that end a row. most: how many new ones at most.
    """

    prompt_BT: Any
    new_BT: Any
    count: Any
    stop_E: Any
    most: Any

    def ids(self):
        """Prompt and new tokens [B, T] side by side, -1 where there is none."""
        column = jnp.arange(self.new_BT.shape[1])[None]
        return jnp.concatenate([self.prompt_BT, jnp.where(column < self.count, self.new_BT, -1)], 1)


def constrained(scores_BV, constraints: tuple[Spec, ...], seen: Seen):
    """The scores [B, V] after every constraint; minus infinity is a token that may not come."""
    for constraint in constraints:
        scores_BV = constraint(scores_BV, seen)
    return scores_BV


class Repetition(Spec):
    """A token that was there already, in the prompt too, loses score (Keskar 2019 §4.1).

    penalty: divides a positive score and multiplies a negative one; 1 changes nothing.
    """

    penalty: float

    def check(self):
        if not self.penalty > 0:
            raise UserError(f"repetition penalty is {self.penalty}; use a number above 0")

    def __call__(self, scores_BV, seen):
        less_BV = jnp.where(scores_BV < 0, scores_BV * self.penalty, scores_BV / self.penalty)
        return jnp.where(present(scores_BV, seen.ids()), less_BV, scores_BV)


class NoRepeat(Spec):
    """No run of `size` tokens comes twice (Paulus 2018 §2.5), those of the prompt included."""

    size: Count

    def __call__(self, scores_BV, seen):
        before = self.size - 1
        # so that a prompt of one token has tokens before it, which equal none
        ids_BT = jnp.pad(seen.ids(), ((0, 0), (before, 0)), constant_values=-1)
        end = before + seen.prompt_BT.shape[1] + seen.count
        last_BN = jax.lax.dynamic_slice_in_dim(ids_BT, end - before, before, 1)
        next_BT = ids_BT[:, before:]
        equal_BT = next_BT >= 0
        for n in range(before):
            here_BT = ids_BT[:, n:n + next_BT.shape[1]]
            equal_BT &= (here_BT == last_BN[:, n:n + 1]) & (here_BT >= 0)
        return jnp.where(present(scores_BV, jnp.where(equal_BT, next_BT, -1)), -jnp.inf, scores_BV)


class Banned(Spec):
    """These tokens never come."""

    tokens: tuple[int, ...]

    def __call__(self, scores_BV, seen):
        return jnp.where(among(scores_BV, self.tokens), -jnp.inf, scores_BV)


class MinTokens(Spec):
    """A row does not stop before it has this many new tokens."""

    tokens: Natural

    def __call__(self, scores_BV, seen):
        early = among(scores_BV, seen.stop_E) & (seen.count < self.tokens)
        return jnp.where(early, -jnp.inf, scores_BV)


class ForcedFirst(Spec):
    """The first new token, with score 0: the language of many multilingual models."""

    token: Natural

    def __call__(self, scores_BV, seen):
        return jnp.where(seen.count == 0, only(scores_BV, (self.token,)), scores_BV)


class ForcedLast(Spec):
    """The last token of the rows that take as many as they may, with score 0; one of `tokens`."""

    tokens: tuple[int, ...]

    def __call__(self, scores_BV, seen):
        return jnp.where(seen.count == seen.most - 1, only(scores_BV, self.tokens), scores_BV)


class Normalised(Spec):
    """What the rules before it left are log-probabilities again: of each row they add up to 1."""

    def __call__(self, scores_BV, seen):
        some_B1 = jnp.isfinite(scores_BV).any(1, keepdims=True)  # a row may have no token left
        return jnp.where(some_B1, jax.nn.log_softmax(scores_BV), scores_BV)


def present(scores_BV, ids_BT):
    """Booleans [B, V]: the tokens among each row's ids. -1 is none."""
    B, V = scores_BV.shape
    ids_BT = jnp.where(ids_BT < 0, V, ids_BT)  # beyond the end: dropped
    return jnp.zeros((B, V), bool).at[jnp.arange(B)[:, None], ids_BT].set(True, mode="drop")


def among(scores_BV, tokens):
    """Booleans [1, V]: these tokens."""
    return jnp.isin(jnp.arange(scores_BV.shape[1]), jnp.asarray(tokens))[None]


def only(scores_BV, tokens):
    """Scores [B, V] under which nothing but these tokens can come."""
    return jnp.where(among(scores_BV, tokens), jnp.zeros_like(scores_BV), -jnp.inf)
