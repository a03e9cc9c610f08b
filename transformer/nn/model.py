"""The three shapes of transformer, and the cache they decode with."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from transformer.error import UserError
from transformer.nn.context import Context, Run
from transformer.nn.embedding import ALL, Embedding, EmbeddingModule
from transformer.nn.head import NoPooler
from transformer.nn.stack import Stack, StackModule
from transformer.ops.dropout import example_keys
from transformer.ops.unscored import whole
from transformer.spec import Spec


class Encoder(Spec):
    """Tokens in, vectors out (Devlin 2019).

    heads: ((name, head), ...). pooler: makes one vector a row.
    """

    embedding: Embedding
    stack: Stack
    pooler: Spec = NoPooler()
    heads: tuple = ()

    def build(self):
        return EncoderModule(self)


class Decoder(Encoder):
    """Tokens in, the next token out (Radford 2018), by the head called "logits"."""

    def build(self):
        return DecoderModule(self)


class SourceToTarget(Spec):
    """Base of what reads a source and writes a target. embedding: of the target's tokens."""

    embedding: Embedding
    heads: tuple = ()


class EncoderDecoder(SourceToTarget):
    """Two stacks (Vaswani 2017). One token table serves both sides and the head.

    source_embedding: the encoder's own positions, types and norm over that table (BART); None where
    both sides share all of the embedding. pooler: makes one vector of a target.
    """

    encoder: Stack
    decoder: Stack
    source_embedding: Embedding | None = None
    pooler: Spec = NoPooler()

    def build(self):
        return EncoderDecoderModule(self)


class Pair(Spec):
    """A generator that fills masks and a discriminator that finds its fills (Clark 2020 §2.1).

    Tokens, types, positions and their norm are the discriminator's; it lends them, so both have the
    same rank. Its heads are read where nobody asks for the generator's.
    """

    generator: Encoder
    discriminator: Encoder

    def check(self):
        tables = [part.embedding for part in (self.generator, self.discriminator)]
        lent = [(t.vocab, t.rank or t.width, t.types, t.position, t.norm) for t in tables]
        if lent[0] != lent[1]:
            raise UserError("Pair: generator and discriminator share one embedding; give both the "
                            "same vocab, rank, types, position and norm")

    @property
    def embedding(self):
        return self.discriminator.embedding

    @property
    def heads(self):
        return (*self.generator.heads, *self.discriminator.heads)

    def build(self):
        return PairModule(self)


def context(batch, prefix: str, run: Run, rng, limit) -> Context:
    """The Context of a whole row: positions and segments as the batch has them."""
    tokens_BT = batch[prefix + "tokens"]
    B, T = tokens_BT.shape
    if limit is not None and T > limit:
        raise UserError(f"a row has {T} tokens, but the model has positions for {limit}; "
                        "shorten the rows or give the model more positions")
    i_BT = batch.get(prefix + "positions", jnp.arange(T)[None])
    segments_BT, prefix_BT = batch.get(prefix + "segments"), batch.get(prefix + "prefix")
    keys_B = None
    if rng is not None:
        keys_B = example_keys(rng, batch.get("index", jnp.arange(B)))
    if prefix_BT is not None:
        prefix_BT = prefix_BT > 0
    queries_BT = batch.get(prefix + "queries", segments_BT)
    return Context(run, i_BT, i_BT, queries_BT, segments_BT, keys_B=keys_B, prefix_BS=prefix_BT,
                   aligned=prefix + "positions" not in batch)


class Decoding(nn.Module):
    """What Decoder and EncoderDecoder share: a cache {slot, next [B], prompt [B], positions,
    segments [B,S], layers, ...}. Keys carry their own positions, so rows of unequal length share a
    slot number. The `prompt` tokens of the first call are the prefix of those that follow.

    The branches of a row lie side by side in its slots, and `branches` [B,W,S] says which of them
    each branch passed: where a branch forks, no key moves, and what all share is there once."""

    spec: Spec

    def start(self, rows: int, capacity: int, slots: int | None = None):
        limit = self.spec.embedding.position.limit()
        if limit is not None and capacity > limit:
            raise UserError(f"prompt and new tokens need {capacity} positions, but the model has "
                            f"{limit}; shorten the prompt or ask for fewer new tokens")
        zeros = lambda *shape: jnp.zeros(shape, jnp.int32)
        slots = slots or capacity
        return {"slot": zeros(), "next": zeros(rows), "prompt": zeros(rows), "layers": (),
                "positions": zeros(rows, slots), "segments": zeros(rows, slots)}

    def decode(self, cache, tokens_BT, segments_BT, run=Run()):
        i_BT = jnp.maximum(cache["next"][:, None] + jnp.cumsum(segments_BT, 1) - 1, 0)
        x_BTD, cache, ctx = self.step(cache, tokens_BT, segments_BT, i_BT, run)
        last_B = i_BT.shape[1] - 1 - jnp.argmax(segments_BT[:, ::-1] > 0, 1)
        x_B1D = jnp.take_along_axis(x_BTD, last_B[:, None, None], 1)
        return self.score(x_B1D, ctx)[:, 0], {**cache, "next": cache["next"] + segments_BT.sum(1)}

    def split(self, cache, width: int):
        before_S = jnp.arange(cache["segments"].shape[1]) < cache["slot"]
        rows = len(cache["next"])
        return {**cache, "branches": jnp.broadcast_to(before_S, (rows, width, len(before_S)))}

    def grow(self, cache, tokens_BW, parent_BW, segments_BW, run=Run()):
        passed_BWS = jnp.take_along_axis(cache["branches"], parent_BW[:, :, None], 1)
        B, W = tokens_BW.shape
        own_BWW = jnp.broadcast_to(jnp.eye(W, dtype=bool), (B, W, W))
        passed_BWS = _put(passed_BWS, own_BWW, cache["slot"], 2)
        i_BW = jnp.broadcast_to(cache["next"][:, None], (B, W))
        x_BWD, new, ctx = self.step(cache, tokens_BW, segments_BW, i_BW, run, passed_BWS)
        new = {**new, "next": cache["next"] + segments_BW.max(1), "branches": passed_BWS}
        return self.score(x_BWD, ctx), new

    def step(self, cache, tokens_BT, segments_BT, i_BT, run, branch_BTS=None):
        """The stack over new tokens at positions i_BT. -> the stream [B,T,D], the cache but for
        `next`, the context."""
        slot = cache["slot"]
        j_BS = _put(cache["positions"], i_BT, slot, 1)
        key_BS = _put(cache["segments"], segments_BT, slot, 1)
        prompt = cache["prompt"] if cache["layers"] else segments_BT.sum(1)
        ctx = Context(run, i_BT, j_BS, segments_BT, key_BS, cache.get("memory"),
                      cache.get("source_segments"), j_BS < prompt[:, None], slot=slot,
                      branch_BTS=branch_BTS)
        x_BTD, layers = self.writer(self.embedding(tokens_BT, None, ctx), ctx, cache["layers"])
        new = {**cache, "slot": slot + tokens_BT.shape[1], "prompt": prompt, "positions": j_BS,
               "segments": key_BS, "layers": layers}
        new.pop("memory", None)  # it is in the layers' keys from now on
        return x_BTD, new, ctx

    def score(self, x_BTD, ctx):
        return whole(dict(self.heads)["logits"](x_BTD, None, {}, self.embedding, ctx))


def _put(old, new, slot, axis: int):
    return jax.lax.dynamic_update_slice_in_dim(old, new, slot, axis)


class EncoderModule(nn.Module):
    """See `door.Model.apply` for the call. lender: whose tables to read instead of its own."""

    spec: Spec
    lender: EmbeddingModule | None = None

    def setup(self):
        s = self.spec
        self.embedding = EmbeddingModule(s.embedding, self.lender, ALL if self.lender else ())
        self.stack = StackModule(s.stack)
        self.pooler = s.pooler.build()
        self.heads = {name: head.build() for name, head in s.heads}

    def __call__(self, batch, rng=None, run=Run()):
        ctx = context(batch, "", run, rng, self.spec.embedding.position.limit())
        x_BTD = self.embedding(batch["tokens"], batch.get("types"), ctx.fold(0))
        x_BTD, _ = self.stack(x_BTD, ctx.fold(1))
        pooled_BD = self.pooler(x_BTD, batch)
        outputs = {name: head(x_BTD, pooled_BD, batch, self.embedding, ctx.fold(2 + n))
                   for n, (name, head) in enumerate(self.heads.items())}
        return {**outputs, "hidden": x_BTD, "pooled": pooled_BD}


class DecoderModule(EncoderModule, Decoding):
    """An EncoderModule that can also decode."""

    def open(self, batch, capacity: int, slots=None, run=Run()):
        return self.start(batch["tokens"].shape[0], capacity, slots)

    @property
    def writer(self):
        return self.stack


class EncoderDecoderModule(Decoding):
    """Owns one embedding for both sides, two stacks, and heads over the decoder's stream."""

    def setup(self):
        s = self.spec
        self.embedding = EmbeddingModule(s.embedding)
        own = s.source_embedding
        self.source_embedding = own and EmbeddingModule(own, self.embedding, ("tokens",))
        self.encoder, self.decoder = StackModule(s.encoder), StackModule(s.decoder)
        self.pooler = s.pooler.build()
        self.heads = {name: head.build() for name, head in s.heads}

    def encode(self, batch, rng=None, run=Run()):
        embedding = self.source_embedding or self.embedding
        ctx = context(batch, "source_", run, rng, embedding.spec.position.limit()).fold(0)
        x_BSD = embedding(batch["source_tokens"], None, ctx.fold(0))
        return self.encoder(x_BSD, ctx.fold(1))[0]

    def __call__(self, batch, rng=None, run=Run()):
        memory_BSD = self.encode(batch, rng, run)
        ctx = context(batch, "", run, rng, self.spec.embedding.position.limit()).fold(1)
        ctx = dataclasses.replace(ctx, memory_BSD=memory_BSD,
                                  memory_BS=batch.get("source_segments"))
        x_BTD = self.embedding(batch["tokens"], None, ctx.fold(0))
        x_BTD, _ = self.decoder(x_BTD, ctx.fold(1))
        pooled_BD = self.pooler(x_BTD, batch)
        outputs = {name: head(x_BTD, pooled_BD, batch, self.embedding, ctx.fold(2 + n))
                   for n, (name, head) in enumerate(self.heads.items())}
        return {**outputs, "hidden": x_BTD, "memory": memory_BSD, "pooled": pooled_BD}

    def open(self, batch, capacity: int, slots=None, run=Run()):
        memory_BSD = self.encode(batch, None, run)
        segments = batch.get("source_segments", jnp.ones_like(batch["source_tokens"]))
        return {**self.start(memory_BSD.shape[0], capacity, slots), "memory": memory_BSD,
                "source_segments": segments}

    @property
    def writer(self):
        return self.decoder


class PairModule(nn.Module):
    """Owns generator and discriminator, which draw their dropout apart."""

    spec: Pair

    def setup(self):
        self.discriminator = EncoderModule(self.spec.discriminator)
        self.generator = EncoderModule(self.spec.generator, self.discriminator.embedding)

    def __call__(self, batch, rng=None, run=Run(), part=None):
        """part: "generator" or "discriminator"; both if None, the discriminator's stream first."""
        parts = {"generator": self.generator, "discriminator": self.discriminator}
        keys = {name: rng if rng is None else jax.random.fold_in(rng, n)
                for n, name in enumerate(parts)}
        outputs = {}
        for name, module in parts.items():
            if part in (None, name):
                outputs |= module(batch, keys[name], run)
        return outputs
