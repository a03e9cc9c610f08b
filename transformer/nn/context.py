"""What a sublayer may look at besides the stream it transforms."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax.numpy as jnp

from transformer.ops import dropout as ops
from transformer.spec import Spec


class Run(Spec):
    """How to run, never what: no field changes parameters or (but for rounding) results.

    dtype: of the activations and of the weights in matmuls; parameters stay float32.
    remat: what the backward pass recomputes; "none" keeps everything, "dots" recomputes all but
      the matmuls' results (softmax and norms are cheap), "full" keeps only each layer's input
      (Chen 2016 §4), or each step's state where a layer is recurrent.
    unroll: layers per iteration of the loop over depth, or steps of that over time. Compile time
      grows with it.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Literal["none", "dots", "full"] = "none"
    unroll: Literal[1, 2, 4] = 1


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
    keys_B: Any = None

    def fold(self, n) -> Context:
        """This context with the randomness of part number n."""
        return dataclasses.replace(self, keys_B=ops.fold(self.keys_B, n))

    def drop(self, x, rate: float, site: int):
        """Dropout of x at one site of a sublayer; the identity in evaluation."""
        if self.keys_B is None or rate == 0:
            return x
        return ops.dropout(x, ops.fold(self.keys_B, site), rate)

    def see(self, reach):
        """[B or 1, T, S] booleans: same segment, and within reach. Padding sees only padding."""
        prefix = False if self.prefix_BS is None else self.prefix_BS[:, None]
        see_BTS = reach(self.i_BT[:, :, None], self.j_BS[:, None], prefix)
        see_BTS = see_BTS & same(self.query_BT, self.key_BS)
        return see_BTS if self.branch_BTS is None else see_BTS & self.branch_BTS

    def see_memory(self):
        """[B or 1, T or 1, S or 1]: a target attends to the source of its own segment."""
        query_BT = self.query_BT
        if query_BT is None:
            query_BT = jnp.ones_like(self.i_BT)  # one document a row
        return same(query_BT, self.memory_BS)


def same(query_BT, key_BS):
    """[B, T, S] equal segment numbers; [1, 1, 1] True where none are given."""
    if query_BT is None or key_BS is None:
        return jnp.ones((1, 1, 1), bool)
    return query_BT[:, :, None] == key_BS[:, None]
