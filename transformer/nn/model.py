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
    return Context(run, i_BT, i_BT, queries_BT, segments_BT, keys_B=keys_B, prefix_BS=prefix_BT)


class Decoding(nn.Module):
    """What Decoder and EncoderDecoder share: a cache {slot, next [B], prompt [B], positions,
    segments [B,S], layers, ...}. Keys carry their own positions, so rows of unequal length share a
    slot number. The `prompt` tokens of the first call are the prefix of those that follow."""

    spec: Spec

    def start(self, rows: int, capacity: int):
        limit = self.spec.embedding.position.limit()
        if limit is not None and capacity > limit:
            raise UserError(f"prompt and new tokens need {capacity} positions, but the model has "
                            f"{limit}; shorten the prompt or ask for fewer new tokens")
        zeros = lambda *shape: jnp.zeros(shape, jnp.int32)
        return {"slot": zeros(), "next": zeros(rows), "prompt": zeros(rows), "layers": (),
                "positions": zeros(rows, capacity), "segments": zeros(rows, capacity)}

    def step(self, stack, cache, tokens_BT, segments_BT, run):
        """The stack over new tokens. -> the stream at each row's last valid token [B,1,D], cache"""
        i_BT = jnp.maximum(cache["next"][:, None] + jnp.cumsum(segments_BT, 1) - 1, 0)
        slot = cache["slot"]
        put = lambda name, new: jax.lax.dynamic_update_slice_in_dim(cache[name], new, slot, 1)
        j_BS, key_BS = put("positions", i_BT), put("segments", segments_BT)
        prompt = cache["prompt"] if cache["layers"] else segments_BT.sum(1)
        ctx = Context(run, i_BT, j_BS, segments_BT, key_BS, cache.get("memory"),
                      cache.get("source_segments"), j_BS < prompt[:, None], slot=slot)
        x_BTD, layers = stack(self.embedding(tokens_BT, None, ctx), ctx, cache["layers"])
        T = tokens_BT.shape[1]
        last_B = T - 1 - jnp.argmax(segments_BT[:, ::-1] > 0, 1)
        new = {"slot": slot + T, "next": cache["next"] + segments_BT.sum(1), "prompt": prompt,
               "positions": j_BS, "segments": key_BS, "layers": layers}
        if "source_segments" in cache:  # the memory itself is in the layers' keys from now on
            new["source_segments"] = cache["source_segments"]
        return jnp.take_along_axis(x_BTD, last_B[:, None, None], 1), new, ctx

    def score(self, x_B1D, ctx):
        return dict(self.heads)["logits"](x_B1D, None, {}, self.embedding, ctx)[:, 0]


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

    def open(self, batch, capacity: int, run=Run()):
        return self.start(batch["tokens"].shape[0], capacity)

    def decode(self, cache, tokens_BT, segments_BT, run=Run()):
        x_B1D, cache, ctx = self.step(self.stack, cache, tokens_BT, segments_BT, run)
        return self.score(x_B1D, ctx), cache


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

    def open(self, batch, capacity: int, run=Run()):
        memory_BSD = self.encode(batch, None, run)
        segments = batch.get("source_segments", jnp.ones_like(batch["source_tokens"]))
        return {**self.start(memory_BSD.shape[0], capacity), "memory": memory_BSD,
                "source_segments": segments}

    def decode(self, cache, tokens_BT, segments_BT, run=Run()):
        x_B1D, cache, ctx = self.step(self.decoder, cache, tokens_BT, segments_BT, run)
        return self.score(x_B1D, ctx), cache


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
