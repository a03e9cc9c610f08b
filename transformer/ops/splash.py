"""Attention by JAX's splash kernel on TPUs: blocks that no query may look at are never made."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from transformer.ops.case import Case
from transformer.ops.reach import Everywhere, Reach

LANES = 128  # of a TPU's registers: lengths are cut into multiples of it
BLOCK = 512  # slots of a block, where they divide the row
FUSED = 8  # blocks of keys up to which the gradient of queries is summed from partial ones


def refusal(case: Case) -> str | None:
    """Why this backend does not take the case; None where it does."""
    if case.platform != "tpu":
        return f"splash runs on TPUs, not on {case.platform}"
    if case.cached:
        return "cached keys are few queries over many slots, which need no fused kernel"
    if case.bias:
        return "splash adds nothing to the scores"
    if case.dropout:
        return "splash has no dropout of probabilities"
    if case.reach.by_row:
        return "the prefix differs from row to row, and splash has one mask for all rows"
    if not (case.reach.relative or case.aligned):
        return "global tokens of packed documents differ from row to row, and splash has one mask"
    for size in (case.queries, case.keys):
        if size % LANES:
            return f"splash takes lengths that are multiples of {LANES}, not {size}"
    return None


def attend(case: Case, q_BTHK, k_BSGK, v_BSGK, sight, scale: float, kernel=None):
    """See `ops.attention.attend`. kernel: from `made`, where it was made before, outside of
    `shard_map`."""
    kernel = kernel or made(case)
    q_BHTK, k_BGSK, v_BGSK = (jnp.moveaxis(x, 1, 2) for x in (q_BTHK, k_BSGK, v_BSGK))
    q_BHTK = (q_BHTK.astype(jnp.float32) * scale).astype(q_BHTK.dtype)
    segments = _segments(sight, q_BTHK.shape[0])
    return jnp.moveaxis(jax.vmap(kernel)(q_BHTK, k_BGSK, v_BGSK, segments), 1, 2)


def made(case: Case, parts: int = 1):
    """The kernel of a case for one row, heads first: (q [H,T,K], k, v [G,S,K], segments) -> q's.

    parts: over how many devices a row's queries are cut; see `specs`.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    mask = splash.MultiHeadMask([_mask(case.reach, (case.queries * parts, case.keys))] * case.heads)
    q, kv = (max(n for n in (LANES, 2 * LANES, BLOCK) if size % n == 0)
             for size in (case.queries, case.keys))
    fused = case.keys // kv <= FUSED
    own = {} if fused else {"block_q_dq": q, "block_kv_dq": kv}
    blocks = splash.BlockSizes(
        block_q=q, block_kv=kv, block_kv_compute=kv, block_q_dkv=q, block_kv_dkv=kv,
        block_kv_dkv_compute=kv, use_fused_bwd_kernel=fused, **own)
    return splash.make_splash_mha(mask, block_sizes=blocks, head_shards=1, q_seq_shards=parts,
                                  interpret=case.platform == "cpu")


def specs(kernel, mesh, axis: str):
    """How `shard_map` cuts a kernel whose queries lie along a mesh axis: each device gets the rows
    of the mask that belong to its queries."""
    return kernel.manual_sharding_spec(NamedSharding(mesh, PartitionSpec(None, axis)))


def _segments(sight, rows: int):
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    if sight.query_BT is None or sight.key_BS is None:
        return None
    wide = lambda x: jnp.broadcast_to(x, (rows, x.shape[1]))
    return splash.SegmentIds(q=wide(sight.query_BT), kv=wide(sight.key_BS))


@functools.cache
def _mask(reach: Reach, shape: tuple[int, int]):
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    class Seen(splash.Mask):
        """A reach over slots, looked at in blocks. Equal for all heads, so that it is kept once."""

        @property
        def shape(self):
            return shape

        def __getitem__(self, where):
            i, j = (np.arange(size)[cut] for size, cut in zip(shape, where))
            return np.asarray(reach(i[:, None], j[None], False))

    return splash.FullMask(shape) if reach == Everywhere() else Seen()
