"""How a recurrent decoder looks at its source before each step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from transformer.nn.cell import gathered
from transformer.nn.initial import Glorot
from transformer.ops.linear import linear
from transformer.ops.recurrent import additive
from transformer.spec import Count, Spec


class Source(NamedTuple):
    """A source that was read.

    memory_BSM: what each position showed in the last layer, of all readers side by side.
    states: of the last reader, for each layer a tuple of [B, S, D], the cell's parts.
    ends_BS: where that reader finished a document.
    """

    memory_BSM: Any
    states: tuple
    ends_BS: Any


class NoAttention(Spec):
    """The source speaks through the decoder's first state alone (Sutskever 2014 §2)."""

    def build(self, width: int, memory: int):
        return NoAttentionModule()


class NoAttentionModule(nn.Module):
    """Owns nothing. See AdditiveModule for the methods."""

    def read(self, source):
        return {}

    def looking(self, kept):
        return None


class Summary(Spec):
    """At every step the last state of the encoder, as it is (Cho 2014 §2.2)."""

    def build(self, width: int, memory: int):
        return SummaryModule()


class SummaryModule(nn.Module):
    """Owns nothing. The paper's appendix has a tanh layer here that the authors' code has not."""

    def read(self, source):
        return {"value": source.states[-1][0].astype(source.memory_BSM.dtype),
                "end": source.ends_BS}

    def looking(self, kept):
        def look(h_BD, see_BS):
            last_BS = (see_BS & kept["end"]).astype(kept["value"].dtype)
            return jnp.einsum("bs,bsd->bd", last_BS, kept["value"])

        return look


class Additive(Spec):
    """At every step the annotations, weighed by a small network (Bahdanau 2015 §3.1).

    width: of its hidden layer. init, score_init: of its matrices, and of the vector after them.
    """

    width: Count
    init: Spec = Glorot()
    score_init: Spec | None = None

    def build(self, width: int, memory: int):
        return AdditiveModule(self, width, memory)


class AdditiveModule(nn.Module):
    """Owns query [D,F], key [M,F] and score [F]."""

    spec: Additive
    width: int  # D
    memory: int  # M

    def setup(self):
        s = self.spec
        self.query = self.param("query", s.init(1), (self.width, s.width))
        self.key = self.param("key", s.init(1), (self.memory, s.width))
        self.score = self.param("score", (s.score_init or s.init)(1), (s.width,))

    def read(self, source):
        """What decoding keeps of a Source, rows first; the keys are computed once."""
        memory_BSM = source.memory_BSM
        return {"value": memory_BSM, "key": linear("bsm,mf->bsf", memory_BSM, self.key)}

    def looking(self, kept):
        """look(h_BD, see_BS) -> context [B, M], h being the state before the step."""
        query_DF, score_F = gathered(self.query), self.score

        def look(h_BD, see_BS):
            q_BF = linear("bd,df->bf", h_BD.astype(kept["key"].dtype), query_DF)
            return additive(q_BF, kept["key"], kept["value"], score_F, see_BS)

        return look
