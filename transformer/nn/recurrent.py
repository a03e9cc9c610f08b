"""The recurrent encoder-decoder (Sutskever 2014, Cho 2014, Bahdanau 2015), behind the same doors.

Whole rows may be packed: each document begins in a state of its own, and sees its own source.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from transformer.error import UserError
from transformer.nn.alignment import Additive, NoAttention, Summary
from transformer.nn.cell import GRU, LSTM
from transformer.nn.context import Run
from transformer.nn.embedding import Embedding, EmbeddingModule
from transformer.nn.head import Tied
from transformer.nn.model import Decoding, SourceToTarget, context
from transformer.nn.reader import ReaderModule, WriterModule, along, still, time_first
from transformer.nn.readout import Copied, Maxout, Projected, Shown
from transformer.ops.recurrent import borders, holding, restarting
from transformer.ops.sight import same
from transformer.spec import Count, Rate


class RecurrentEncoderDecoder(SourceToTarget):
    """Two recurrent stacks of one kind of cell.

    source_embedding: of the source; None is one table for both sides.
    reading: how the encoder goes through the source: backward reverses it (Sutskever 2014 §3.3),
      both is a reader each way (Schuster 1997), whose states stand side by side.
    start: from the encoder's last state to the decoder's first. attention: what the decoder sees
      of the source at each step; its first layer looks, before it takes the step.
    readout: what the heads read. dropout: rate on what each layer shows (Zaremba 2014 §3).
    """

    cell: LSTM | GRU
    depth: Count = 1
    source_embedding: Embedding | None = None
    reading: Literal["forward", "backward", "both"] = "forward"
    start: Copied | Projected = Copied()
    attention: NoAttention | Summary | Additive = NoAttention()
    readout: Shown | Maxout = Shown()
    dropout: Rate = 0.0

    def check(self):
        width, table = self.readout.width(self.cell), self.embedding.width
        if width != table and any(isinstance(head, Tied) for _, head in self.heads):
            raise UserError(f"a Tied head reads {table} dimensions, as wide as the embedding, but "
                            f"the readout gives {width}; make them equal, or use Untied")

    def build(self):
        return RecurrentEncoderDecoderModule(self)


class RecurrentEncoderDecoderModule(Decoding):
    """Owns embedding, source_embedding where it is another, encoder, decoder and heads."""

    def setup(self):
        s = self.spec
        self.embedding = EmbeddingModule(s.embedding)
        self.source_embedding = (EmbeddingModule(s.source_embedding) if s.source_embedding
                                 else self.embedding)
        self.encoder, self.decoder = ReaderModule(s), WriterModule(s)
        self.heads = {name: head.build() for name, head in s.heads}

    def encode(self, batch, rng, run):
        """-> the Source and its segments [B, S]."""
        limit = (self.spec.source_embedding or self.spec.embedding).position.limit()
        ctx = context(batch, "source_", run, rng, limit).fold(0)
        segments_BS = segments(batch, "source_")
        x_BSR = self.source_embedding(batch["source_tokens"], None, ctx.fold(0))
        return self.encoder(x_BSR, segments_BS, ctx.fold(1)), segments_BS

    def __call__(self, batch, rng=None, run=Run()):
        source, source_BS = self.encode(batch, rng, run)
        ctx = context(batch, "", run, rng, self.spec.embedding.position.limit()).fold(1)
        x_BTR, segments_BT = self.embedding(batch["tokens"], None, ctx.fold(0)), segments(batch, "")
        see_BTS = same(segments_BT, source_BS)
        first, begins_TB = self.decoder.begin(source, see_BTS), time_first(borders(segments_BT))

        def through(l, step, now):
            now = now, tuple(map(time_first, first[l])), begins_TB
            return along(restarting(step), still(self.spec.cell, x_BTR.shape[0]), now, run)

        kept = self.decoder.align.read(source)
        x_BTD, _ = self.decoder(x_BTR, see_BTS, kept, through, ctx.fold(1))
        outputs = {name: head(x_BTD, None, batch, self.embedding, ctx.fold(2 + n))
                   for n, (name, head) in enumerate(self.heads.items())}
        return {**outputs, "hidden": x_BTD, "memory": source.memory_BSM}

    def open(self, batch, capacity: int, slots=None, run=Run()):
        """Cache: {slot, next [B], source_segments [B, S], layers}, the last with the state of each
        layer and what attention keeps. It has the same size whatever the capacity."""
        source, source_BS = self.encode(batch, None, run)
        empty = self.start(source_BS.shape[0], capacity)
        first = self.decoder.begin(source, same(jnp.ones_like(source_BS[:, :1]), source_BS))
        return {"slot": empty["slot"], "next": empty["next"], "source_segments": source_BS,
                "layers": {"state": jax.tree.map(lambda part_B1D: part_B1D[:, 0], first),
                           "source": self.decoder.align.read(source)}}

    def decode(self, cache, tokens_BT, segments_BT, run=Run()):
        i_BT = jnp.maximum(cache["next"][:, None] + jnp.cumsum(segments_BT, 1) - 1, 0)
        ctx = context({"tokens": tokens_BT, "positions": i_BT}, "", run, None, None)
        x_BTR, layers = self.embedding(tokens_BT, None, ctx), cache["layers"]
        real_TB = time_first(segments_BT > 0)
        through = lambda l, step, now: along(holding(step), layers["state"][l], (now, real_TB), run)
        see_BTS = same(segments_BT, cache["source_segments"])
        x_BTD, state = self.decoder(x_BTR, see_BTS, layers["source"], through, ctx)
        last_B = x_BTD.shape[1] - 1 - jnp.argmax(segments_BT[:, ::-1] > 0, 1)
        x_B1D = jnp.take_along_axis(x_BTD, last_B[:, None, None], 1)
        cache = {**cache, "slot": cache["slot"] + x_BTD.shape[1],
                 "next": cache["next"] + segments_BT.sum(1), "layers": {**layers, "state": state}}
        return self.score(x_B1D, ctx)[:, 0], cache

    def split(self, cache, width: int):
        return jax.tree.map(lambda x: jnp.repeat(x, width, 0) if x.ndim else x, cache)

    def grow(self, cache, tokens_BW, parent_BW, segments_BW, run=Run()):
        B, W = tokens_BW.shape
        row_N = (jnp.arange(B)[:, None] * W + parent_BW).reshape(B * W)
        layers = cache["layers"]
        forked = {**layers, "state": jax.tree.map(lambda x: x[row_N], layers["state"])}
        logits_NV, cache = self.decode({**cache, "layers": forked}, tokens_BW.reshape(B * W, 1),
                                       segments_BW.reshape(B * W, 1), run)
        return logits_NV.reshape(B, W, -1), cache


def segments(batch, prefix: str):
    """Of the batch, or all 1."""
    tokens_BT = batch[prefix + "tokens"]
    return batch.get(prefix + "segments", jnp.ones_like(tokens_BT))
