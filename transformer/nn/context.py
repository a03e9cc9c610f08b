"""What a sublayer may look at besides the stream it transforms."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax.numpy as jnp

from transformer.ops import dropout as ops
from transformer.ops.backend import Backend
from transformer.ops.sight import Sight
from transformer.spec import Spec


class Run(Spec):
    """How to run, never what: no field changes parameters or (but for rounding) results.

    dtype: of the activations and of the weights in matmuls; parameters stay float32.
    remat: what the backward pass recomputes; "none" keeps everything but what a fused kernel of
      attention never has, "attention" recomputes its scores whatever computes them, "dots" all but
      the matmuls' results (softmax and norms are cheap), "full" keeps only each layer's input
      (Chen 2016 §4), or each step's state where a layer is recurrent.
    attention: what computes attention, see `ops.backend`; "auto" takes the best for the device and
      shape.
    unroll: layers per iteration of the loop over depth, or steps of that over time. Compile time
      grows with it.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Literal["none", "attention", "dots", "full"] = "none"
    unroll: Literal[1, 2, 4] = 1
    attention: Backend = "auto"


@dataclasses.dataclass(frozen=True)
class Context:
    """Positions, segments and randomness of one call, shared by all sublayers of a stack.

    i_BT, j_BS: positions of queries and keys, [B or 1, T] and [B or 1, S].
    query_BT, key_BS: segment numbers (0 = padding), or None where every key is valid.
    memory_BSD, memory_BS: the encoder's output and its segments, for cross-attention.
    prefix_BS: whether a key belongs to its document's prefix, or None where there is no prefix.
    bias_BHTS: what self-attention adds to its scores, or None.
    slot: where decoding writes the new keys; None outside decoding.
    branch_BTS: which keys lie on the way to a query's branch of its row; None without branches.
    aligned: positions are the slots of the row.
    keys_B: one random key per row, or None in evaluation.
    """

    run: Run
    i_BT: Any
    j_BS: Any
    query_BT: Any = None
    key_BS: Any = None
    memory_BSD: Any = None
    memory_BS: Any = None
    prefix_BS: Any = None
    bias_BHTS: Any = None
    slot: Any = None
    branch_BTS: Any = None
    aligned: bool = False
    keys_B: Any = None

    def fold(self, n) -> Context:
        """This context with the randomness of part number n."""
        return dataclasses.replace(self, keys_B=ops.fold(self.keys_B, n))

    def drop(self, x, rate: float, site: int):
        """Dropout of x at one site of a sublayer; the identity in evaluation."""
        if self.keys_B is None or rate == 0:
            return x
        return ops.dropout(x, ops.fold(self.keys_B, site), rate)

    def sight(self, reach) -> Sight:
        """What self-attention sees: the same segment, within reach."""
        return Sight(self.i_BT, self.j_BS, self.query_BT, self.key_BS, self.prefix_BS,
                     self.branch_BTS, reach, self.aligned, self.slot is not None)

    def memory_sight(self, keys: int) -> Sight:
        """What cross-attention sees of S = `keys`: the source of the target's own segment."""
        query_BT = self.query_BT
        if query_BT is None and self.memory_BS is not None:
            query_BT = jnp.ones_like(self.i_BT)  # one document a row
        return Sight(self.i_BT, jnp.arange(keys)[None], query_BT, self.memory_BS,
                     aligned=self.aligned, cached=self.slot is not None)
