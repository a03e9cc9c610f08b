"""A case of attention: everything that decides which backend can compute it."""

from __future__ import annotations

from typing import NamedTuple

from transformer.ops.reach import Reach


class Case(NamedTuple):
    """platform: "cpu", "gpu" or "tpu". dtype: of queries, keys and values. queries, keys: T and S
    on one device. heads, kv_heads: H and G on one device. head_dim: K. reach: see `ops.reach`.

    segments: rows hold padding or several documents. aligned: positions are slots. prefix: some
    keys belong to a prefix. bias: something is added to the scores. dropout: of probabilities.
    cached: keys come from a cache. spread: over several devices. parted: a device has only a part
    of a row's queries.
    """

    platform: str
    dtype: str
    queries: int
    keys: int
    heads: int
    kv_heads: int
    head_dim: int
    reach: Reach
    segments: bool = True
    aligned: bool = False
    prefix: bool = False
    bias: bool = False
    dropout: bool = False
    cached: bool = False
    spread: bool = False
    parted: bool = False
