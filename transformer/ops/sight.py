"""Sight: which keys each query may see, as arrays that can be cut over a mesh and a rule."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from transformer.ops.reach import Everywhere, Reach


@dataclasses.dataclass(frozen=True)
class Sight:
    """Keys of the same segment, within reach, on the way of the query's branch.

    i_BT, j_BS: positions of queries and keys, [B or 1, T] and [B or 1, S].
    query_BT, key_BS: segment numbers (0 = padding), or None where every key is valid.
    prefix_BS: whether a key belongs to its document's prefix, or None where there is no prefix.
    branch_BTS: see `nn.context.Context`. reach: the rule on positions.
    aligned: positions are the slots of the row themselves; else they are those of documents in it,
      where they grow by one from token to token.
    cached: keys come from a cache, in no order.
    """

    i_BT: Any
    j_BS: Any
    query_BT: Any = None
    key_BS: Any = None
    prefix_BS: Any = None
    branch_BTS: Any = None
    reach: Reach = Everywhere()
    aligned: bool = False
    cached: bool = False

    def see(self):
        """[B or 1, T, S] booleans. Padding sees only padding."""
        prefix = False if self.prefix_BS is None else self.prefix_BS[:, None]
        see_BTS = self.reach(self.i_BT[:, :, None], self.j_BS[:, None], prefix)
        see_BTS = see_BTS & same(self.query_BT, self.key_BS)
        return see_BTS if self.branch_BTS is None else see_BTS & self.branch_BTS


jax.tree_util.register_dataclass(
    Sight, data_fields=["i_BT", "j_BS", "query_BT", "key_BS", "prefix_BS", "branch_BTS"],
    meta_fields=["reach", "aligned", "cached"])


def same(query_BT, key_BS):
    """[B, T, S] equal segment numbers; [1, 1, 1] True where none are given."""
    if query_BT is None or key_BS is None:
        return jnp.ones((1, 1, 1), bool)
    return query_BT[:, :, None] == key_BS[:, None]
