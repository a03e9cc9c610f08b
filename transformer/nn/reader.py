"""The two recurrent stacks: one reads a source, one writes a target. Inside, time comes first."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.alignment import Source
from transformer.nn.cell import CellModule
from transformer.nn.stack import rematerialised
from transformer.ops.placement import constrain
from transformer.ops.recurrent import borders, restarting
from transformer.spec import Spec

# Whether each reader goes backward; the state that the last one ends in begins the decoder.
READERS = {"forward": (False,), "backward": (True,), "both": (False, True)}


def time_first(x):
    """[B, T, ...] as [T, B, ...], or the reverse."""
    return jnp.moveaxis(x, 0, 1)


def along(step, first, now, run, backward: bool = False):
    """`jax.lax.scan` over time, unrolled and recomputed as `run` says."""
    return jax.lax.scan(rematerialised(step, run), first, now, reverse=backward,
                        unroll=run.unroll)


def still(cell: Spec, rows: int):
    """The state of a cell that has read nothing."""
    return tuple(jnp.zeros((rows, cell.width)) for _ in cell.parts)


class ReaderModule(nn.Module):
    """The encoder. Owns layer_n_forward and layer_n_backward."""

    spec: Spec

    def setup(self):
        names = [("forward", "backward")[back] for back in READERS[self.spec.reading]]
        self.layer = [{name: CellModule(self.spec.cell) for name in names}
                      for _ in range(self.spec.depth)]

    def __call__(self, x_BSR, segments_BS, ctx) -> Source:
        states = []
        for l, readers in enumerate(self.layer):
            x_SBR = time_first(x_BSR)
            every = [self.read(cell, x_SBR, segments_BS, name == "backward", ctx.run)
                     for name, cell in readers.items()]
            x_BSR = jnp.concatenate([shown_BSD for shown_BSD, *_ in every], -1).astype(x_BSR.dtype)
            x_BSR = constrain(ctx.fold(l).drop(x_BSR, self.spec.dropout, 0), "BSD")
            states.append(every[-1])
        backward = READERS[self.spec.reading][-1]
        return Source(x_BSR, tuple(states), borders(segments_BS, not backward))

    def read(self, cell, x_SBR, segments_BS, backward: bool, run):
        """The states of one layer: of each part [B, S, D]."""
        x_SBZE, advance = cell(x_SBR)

        def step(state, x_BZE):
            state = advance(x_BZE, state)
            return state, state

        nothing = tuple(jnp.zeros((x_SBR.shape[0], 1, 1)) for _ in self.spec.cell.parts)
        now = x_SBZE, nothing, time_first(borders(segments_BS, backward))
        first = still(self.spec.cell, segments_BS.shape[0])
        _, states = along(restarting(step), first, now, run, backward)
        return tuple(map(time_first, states))


class WriterModule(nn.Module):
    """The decoder. Owns layer_n, align, start and readout."""

    spec: Spec

    def setup(self):
        s = self.spec
        self.layer = [CellModule(s.cell) for _ in range(s.depth)]
        self.align = s.attention.build(s.cell.width, s.cell.width * len(READERS[s.reading]))
        self.start, self.readout = s.start.build(), s.readout.build()

    def begin(self, source: Source, see_BTS):
        """Of each layer the state [B, T, D] in which the document at each position begins.

        Zero, before `start`, where that document has no source.
        """
        own_BTS = (see_BTS & source.ends_BS[:, None]).astype(jnp.float32)
        end = lambda part_BSD: jnp.einsum("bts,bsd->btd", own_BTS, part_BSD)
        return tuple(
            tuple(self.start(end(part), f"{name}_{l}")
                  for name, part in zip(self.spec.cell.parts, states, strict=True))
            for l, states in enumerate(source.states))

    def __call__(self, x_BTR, see_BTS, kept, through, ctx):
        """The first layer looks at the source, the others read what the one below shows.

        Args:
          see_BTS: which source positions a target position may see. kept: from `align.read`.
          through: (layer, step, inputs) -> last state, what was kept: runs a step along the row.

        Returns:
          What the heads read [B, T, W], and the last state of each layer.
        """
        look, context_BTM, last = self.align.looking(kept), None, []
        memory = kept["value"].shape[-1] if look else 0
        h_BTD = x_BTR
        for l, cell in enumerate(self.layer):
            looks = l == 0 and look
            x_TBZE, advance = cell(time_first(h_BTD), memory if looks else 0)
            if looks:
                now = x_TBZE, time_first(see_BTS)
                state, (h_TBD, context_TBM) = through(l, looking(look, advance), now)
                context_BTM = time_first(context_TBM)
            else:
                state, h_TBD = through(l, blind(advance), x_TBZE)
            h_BTD = time_first(h_TBD).astype(x_BTR.dtype)
            h_BTD = constrain(ctx.fold(l).drop(h_BTD, self.spec.dropout, 0), "BTD")
            last.append(state)
        return self.readout(h_BTD, x_BTR, context_BTM), tuple(last)


def blind(advance):
    """A step for `along` that shows the state after it."""
    def step(state, x_BZE):
        state = advance(x_BZE, state)
        return state, state[0]

    return step


def looking(look, advance):
    """As `blind`, after a look at the source; it shows what was seen as well."""
    def step(state, now):
        x_BZE, see_BS = now
        context_BM = look(state[0], see_BS)
        state = advance(x_BZE, state, context_BM)
        return state, (state[0], context_BM)

    return step
