"""Text from a model, greedy, sampled or searched: one compiled loop for every kind of model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from transformer.generation.alone import Alone
from transformer.generation.beam import Beam, PowerPenalty, WuPenalty
from transformer.generation.constraint import Seen, constrained
from transformer.generation.prompt import fit
from transformer.ops.placement import fetched
from transformer.ops.sampling import Greedy, Sample
from transformer.spec import Spec

__all__ = ["Beam", "Generator", "Greedy", "PowerPenalty", "Sample", "WuPenalty", "generate"]


def generate(model, params, batch: dict, *, tokens: int, choose: Spec = Greedy(),
             stop: int | Sequence[int] | None = None, key=None, pad: int = 0,
             vocab: int | None = None, run: Spec | None = None,
             constraints: tuple[Spec, ...] = ()) -> dict:
    """Continues every row of a batch until it stops or has its tokens.

    Args:
      model: with the doors `open` and `decode`. params: unstacked once (`nn.door.unstack`).
      batch: `tokens` [B, T], `segments` [B, T] (0 = padding, on either side; none if absent);
        for an encoder-decoder `source_tokens` and `source_segments` [B, S] beside them, and the
        first token as the prompt; `index` [B], the number of each row in its random stream, 0, 1,
        ... if absent. A row without a valid token is padding: it gives nothing.
      tokens: how many new tokens at most.
      choose: Greedy(), Sample(...) or Beam(...). The last two may give N answers to a prompt.
      stop: the token that ends a row, or several; None for none. pad: what follows it.
      key: of the sampling, `jax.random.key(0)` if None. A row's tokens depend on it, on the row
        and on its index, not on the rows beside it.
      vocab: ids from here on are never chosen: rows that a token table has, but no tokenizer.
      run: how to run, see `nn.context.Run`; the model's default if None.
      constraints: on the next token, see `generation.constraint`; applied in this order.

    Returns:
      Arrays of the host, the N answers of a prompt side by side: "tokens" int32 [B N, tokens];
      "lengths" int32 [B N], how many of them are no padding (the stop token counts);
      "log_probability" float32 [B N], of these in nats, under the model itself whatever `choose`
      and the constraints do; of Beam "score" float32 [B N] as well, best first in each prompt,
      minus infinity and no token where there was no further answer.

    Raises:
      UserError: the prompt and the new tokens are longer than the context.
    """
    fitted, capacity = fit(model, batch, tokens)
    made = Generator(model, choose, capacity, vocab, run, tuple(constraints),
                     -(-tokens // 16) * 16).loop(params, fitted, ends(stop, pad, tokens), key)
    rows = len(batch["tokens"]) * len(made["tokens"]) // len(fitted["tokens"])
    made = {name: array[:rows] for name, array in fetched(made).items()}
    return {**made, "tokens": made["tokens"][:, :tokens]}


def ends(stop: int | Sequence[int] | None, pad: int, tokens: int) -> dict:
    """What ends a row, as arrays: "stop" [E] and the "pad" behind it, "tokens" at most."""
    stop = (stop,) if isinstance(stop, int) else tuple(stop or ())
    nothing = (-1,)  # no token's id
    return {"stop": jnp.array(stop or nothing, jnp.int32), "pad": jnp.int32(pad),
            "tokens": jnp.int32(tokens)}


@dataclasses.dataclass(frozen=True)
class Generator:
    """What generation compiles for; hashable, so equal generators share their programs.

    capacity: of the cache, in positions per row. room: for how many new ones; all if None.
    The other fields are as in `generate`.

    Beside the cache goes a state, a dict: `count`, how many tokens were chosen; the `prompt` [B, T]
    as in `Seen`; and what `alone.Alone` or `beam.Beam` keep.
    """

    model: Any
    choose: Spec
    capacity: int
    vocab: int | None = None
    run: Spec | None = None
    constraints: tuple[Spec, ...] = ()
    room: int | None = None

    @property
    def search(self):
        """Who chooses the tokens."""
        return self.choose if isinstance(self.choose, Beam) else Alone(self.choose)

    @functools.partial(jax.jit, static_argnums=0)
    def loop(self, params, batch, ends, key) -> dict:
        """`generate` between its host arrays; "tokens" is [B, capacity], padded."""
        def more(carry):
            _, state = carry
            return (state["count"] < ends["tokens"]) & ~state["done"].all()

        body = lambda carry: self.advance(params, *carry, ends)
        _, state = jax.lax.while_loop(more, body, self.begin(params, batch, ends, key))
        return self.search.results(state)

    @functools.partial(jax.jit, static_argnums=0)
    def begin(self, params, batch, ends, key) -> tuple[dict, dict]:
        """The cache and the state after the prompt, with the first token chosen.

        A prompt is read once, however many answers it gets.
        """
        segments_BT, W = batch["segments"], self.search.rows
        slots = self.capacity + (W - 1) * (self.room or self.capacity) * self._splits
        cache = self.model.open(params, batch, self.capacity, slots=slots, **self._how())
        logits_BV, cache = self.model.decode(params, cache, batch["tokens"], segments_BT,
                                             **self._how())
        # New tokens overwrite the slots that are padding in every row.
        cache = {**cache, "slot": segments_BT.sum(1).max()}
        empty_B = ~segments_BT.any(1) | ~batch.get("source_segments", segments_BT).any(1)
        each = functools.partial(spread, rows=W)
        state = {"count": jnp.int32(0), "done": each(empty_B),
                 "prompt": each(ending(batch["tokens"], segments_BT))}
        state["tokens"] = jnp.full((len(state["done"]), self.capacity), ends["pad"])
        state = self.search.start(state, key, batch["index"])
        cache = self.model.split(cache, W) if self._splits else each(cache)
        return _bare(cache), self._choose(state, each(logits_BV), ends)

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
    def advance(self, params, cache, state, ends) -> tuple[dict, dict]:
        """Both with one more token. Takes the old cache's memory."""
        each_BW = lambda x: x.reshape(-1, self.search.rows if self._splits else 1)
        token_BW = each_BW(state["token"])
        live_BW = each_BW((~state["done"]).astype(jnp.int32))
        if self._splits:
            logits_BWV, cache = self.model.grow(params, _dressed(cache), token_BW, state["parent"],
                                                live_BW, **self._how())
            logits_BV = logits_BWV.reshape(-1, logits_BWV.shape[-1])
        else:
            logits_BV, cache = self.model.decode(params, _dressed(cache), token_BW, live_BW,
                                                 **self._how())
        return _bare(cache), self._choose(state, logits_BV, ends)

    @property
    def _splits(self) -> bool:
        """Whether answers of a prompt are branches of one row, that fork, or rows of their own."""
        return isinstance(self.choose, Beam) and self.choose.width > 1

    def _choose(self, state, logits_BV, ends):
        seen = Seen(state["prompt"], state["tokens"], state["count"], ends["stop"], ends["tokens"])
        rule = lambda scores_BV: constrained(scores_BV, self.constraints, seen)
        return self.search.step(state, logits_BV[:, :self.vocab], ends, rule)

    def _how(self):
        return {} if self.run is None else {"run": self.run}


def spread(tree, rows: int):
    """Every row of a cache or of arrays `rows` times; what has no rows stays."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, rows, 0) if leaf.ndim else leaf, tree)


def ending(tokens_BT, segments_BT):
    """The valid tokens of rows that are padded on the right, on the right, after -1."""
    shift_B1 = segments_BT.shape[1] - segments_BT.sum(1, keepdims=True)
    from_BT = jnp.arange(segments_BT.shape[1])[None] - shift_B1
    moved_BT = jnp.take_along_axis(tokens_BT, jnp.maximum(from_BT, 0), 1)
    return jnp.where(from_BT < 0, -1, moved_BT)


def _bare(cache):
    """The cache as a loop carries it: of a single row, the layers' arrays without that dimension.

    XLA drops dimensions of one from its products; where the carried arrays keep them, it copies
    every cached key and value at every token (a quarter of the time).
    """
    if len(cache["next"]) > 1:
        return cache
    return {**cache, "layers": jax.tree.map(lambda leaf: leaf[0], cache["layers"])}


def _dressed(cache):
    """The cache as the model wants it."""
    if len(cache["next"]) > 1:
        return cache
    return {**cache, "layers": jax.tree.map(lambda leaf: leaf[None], cache["layers"])}
