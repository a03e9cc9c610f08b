"""Greedy and sampled generation: one compiled loop for decoders and encoder-decoders alike."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from transformer.generation.prompt import fit
from transformer.ops.dropout import example_keys, fold
from transformer.ops.sampling import Greedy, Sample
from transformer.spec import Spec

__all__ = ["Generator", "Greedy", "Sample", "generate"]


def generate(model, params, batch: dict, *, tokens: int, choose: Spec = Greedy(),
             stop: int | None = None, key=None, pad: int = 0, vocab: int | None = None,
             run: Spec | None = None) -> dict:
    """Continues every row of a batch until it stops or has its tokens.

    Args:
      model: with the doors `open` and `decode`. params: unstacked once (`nn.door.unstack`).
      batch: `tokens` [B, T], `segments` [B, T] (0 = padding, on either side; none if absent);
        for an encoder-decoder `source_tokens` and `source_segments` [B, S] beside them, and the
        first token as the prompt; `index` [B], the number of each row in its random stream, 0, 1,
        ... if absent. A row without a valid token is padding: it gives nothing.
      tokens: how many new tokens at most.
      choose: Greedy() or Sample(...).
      stop: the token that ends a row; None for none. pad: what follows it.
      key: of the sampling, `jax.random.key(0)` if None. A row's tokens depend on it, on the row
        and on its index, not on the rows beside it.
      vocab: ids from here on are never chosen: rows that a token table has, but no tokenizer.
      run: how to run, see `nn.context.Run`; the model's default if None.

    Returns:
      Arrays of the host: "tokens" int32 [B, tokens]; "lengths" int32 [B], how many of them are no
      padding (the stop token counts); "log_probability" float32 [B], of these in nats, under
      the model itself whatever `choose` does.

    Raises:
      UserError: the prompt and the new tokens are longer than the context.
    """
    fitted, capacity = fit(model, batch, tokens)
    made = Generator(model, choose, capacity, vocab, run).loop(
        params, fitted, ends(stop, pad), jnp.int32(tokens), key)
    made = jax.device_get(made)
    return {**made, "tokens": made["tokens"][:, :tokens]}


def ends(stop: int | None, pad: int) -> dict:
    """The stop and pad tokens as arrays; no token has the id -1."""
    return {"stop": jnp.int32(-1 if stop is None else stop), "pad": jnp.int32(pad)}


@dataclasses.dataclass(frozen=True)
class Generator:
    """What generation compiles for; hashable, so equal generators share their programs.

    capacity: of the cache, in tokens per row. The other fields are as in `generate`.

    Beside the cache goes a state, a dict: the `token` [B] chosen last, `done` and `lengths` [B],
    `log_probability` [B], the random `keys` [B], and `count`, how many tokens were chosen.
    """

    model: Any
    choose: Spec
    capacity: int
    vocab: int | None = None
    run: Spec | None = None

    @functools.partial(jax.jit, static_argnums=0)
    def loop(self, params, batch, ends, tokens, key) -> dict:
        """`generate` between its host arrays; "tokens" is [B, capacity], padded."""
        cache, state = self.begin(params, batch, ends, key)
        chosen_BT = jnp.full((len(batch["tokens"]), self.capacity), ends["pad"])
        write = lambda chosen_BT, state: jax.lax.dynamic_update_slice_in_dim(
            chosen_BT, state["token"][:, None], state["count"] - 1, 1)

        def more(carry):
            _, _, state = carry
            return (state["count"] < tokens) & ~state["done"].all()

        def body(carry):
            chosen_BT, cache, state = carry
            cache, state = self.advance(params, cache, state, ends)
            return write(chosen_BT, state), cache, state

        start = write(chosen_BT, state), cache, state
        chosen_BT, _, state = jax.lax.while_loop(more, body, start)
        kept = {name: state[name] for name in ("lengths", "log_probability")}
        return {"tokens": chosen_BT, **kept}

    @functools.partial(jax.jit, static_argnums=0)
    def begin(self, params, batch, ends, key) -> tuple[dict, dict]:
        """The cache and the state after the prompt, with the first token chosen."""
        segments_BT = batch["segments"]
        cache = self.model.open(params, batch, self.capacity, **self._how())
        logits_BV, cache = self.model.decode(params, cache, batch["tokens"], segments_BT,
                                             **self._how())
        # New tokens overwrite the slots that are padding in every row.
        cache = {**cache, "slot": segments_BT.sum(1).max()}
        empty_B = ~segments_BT.any(1) | ~batch.get("source_segments", segments_BT).any(1)
        key = jax.random.key(0) if key is None else key
        zeros_B = jnp.zeros(len(segments_BT), jnp.int32)
        state = {"done": empty_B, "lengths": zeros_B, "count": jnp.int32(0),
                 "log_probability": zeros_B.astype(jnp.float32),
                 "keys": example_keys(key, batch["index"])}
        return _bare(cache), self._choose(state, logits_BV, ends)

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
    def advance(self, params, cache, state, ends) -> tuple[dict, dict]:
        """Both with one more token. Takes the old cache's memory."""
        live_B1 = (~state["done"]).astype(jnp.int32)[:, None]
        cache = _dressed(cache, len(live_B1))
        logits_BV, cache = self.model.decode(params, cache, state["token"][:, None], live_B1,
                                             **self._how())
        return _bare(cache), self._choose(state, logits_BV, ends)

    def _choose(self, state, logits_BV, ends):
        logits_BV = logits_BV[:, :self.vocab]
        done_B = state["done"]
        chosen_B = self.choose(logits_BV, fold(state["keys"], state["count"]))
        logits_BV = logits_BV.astype(jnp.float32)
        chosen_B1 = jnp.take_along_axis(logits_BV, chosen_B[:, None], 1)
        nats_B = chosen_B1[:, 0] - jax.nn.logsumexp(logits_BV, -1)
        return {"token": jnp.where(done_B, ends["pad"], chosen_B),
                "done": done_B | (chosen_B == ends["stop"]),
                "lengths": state["lengths"] + ~done_B,
                "log_probability": state["log_probability"] + jnp.where(done_B, 0, nats_B),
                "count": state["count"] + 1, "keys": state["keys"]}

    def _how(self):
        return {} if self.run is None else {"run": self.run}


def _bare(cache):
    """The cache as a loop carries it: of a single row, the layers' arrays without that dimension.

    XLA drops dimensions of one from its products; where the carried arrays keep them, it copies
    every cached key and value at every token (a quarter of the time).
    """
    if len(cache["next"]) > 1:
        return cache
    return {**cache, "layers": jax.tree.map(lambda leaf: leaf[0], cache["layers"])}


def _dressed(cache, rows: int):
    """The cache as `decode` wants it."""
    if rows > 1:
        return cache
    return {**cache, "layers": jax.tree.map(lambda leaf: leaf[None], cache["layers"])}
