"""The one door of attention: a backend is chosen by device and shape, and works on every mesh.

A backend that computes whole rows on one device runs inside `shard_map`: rows over data and fsdp,
heads over tensor, queries over sequence. Keys and values of a row whose queries are cut over
several devices are gathered there, G heads of them; scores [T/n, S] never leave a device.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from transformer.error import UserError
from transformer.ops import cudnn, splash, tiles
from transformer.ops.attention import attend
from transformer.ops.case import Case
from transformer.ops.placement import ACTIVATIONS, place
from transformer.ops.target import platform

Backend = Literal["auto", "xla", "tiles", "cudnn", "splash"]
REFUSALS = {"splash": splash.refusal, "cudnn": cudnn.refusal, "tiles": tiles.refusal,
            "xla": lambda case: None}
FASTEST = {"tpu": "splash", "gpu": "cudnn"}  # what is expected of a device; the rest says why not


def attention(q_BTHK, k_BSGK, v_BSGK, sight, scale: float, keys_B=None, rate: float = 0.0,
              bias_BHTS=None, backend: Backend = "auto", remat: bool = False):
    """What `ops.attention.attend` gives, by the backend that fits best, on any mesh.

    Args:
      sight: see `ops.sight`; the others: see `ops.attention.attend`.
      backend: "auto", or the one to use; decoding from a cache is always XLA's.
      remat: make scores again in the backward pass also where the backend would keep them.

    Raises:
      UserError: the backend that was asked for refuses this case.
    """
    if not all(isinstance(n, int) for n in q_BTHK.shape):  # an exported program of open sizes
        return attend(q_BTHK, k_BSGK, v_BSGK, sight.see(), scale, keys_B, rate, bias_BHTS)
    mesh = jax.sharding.get_abstract_mesh()
    whole = mesh.empty or mesh.size == 1
    cut = functools.partial(_cut, mesh, _parts(mesh, whole, q_BTHK.shape[1]) > 1)
    case = _case(q_BTHK, k_BSGK, sight, bool(keys_B is not None and rate), bias_BHTS, mesh, whole)
    name = choose(case, "auto" if sight.cached else backend)
    if name == "xla":
        plain = jax.checkpoint(attend, static_argnums=(4, 6)) if remat else attend
        return plain(q_BTHK, k_BSGK, v_BSGK, sight.see(), scale, keys_B, rate, bias_BHTS)
    if whole:
        return _alone(name, case, q_BTHK, k_BSGK, v_BSGK, sight, keys_B, bias_BHTS, None,
                      scale=scale, rate=rate)
    k_BSGK, v_BSGK = (_enough(x, mesh.shape["tensor"]) for x in (k_BSGK, v_BSGK))
    parts = _parts(mesh, whole, q_BTHK.shape[1])
    kernel = splash.made(case, parts) if name == "splash" else None
    arrays = (q_BTHK, k_BSGK, v_BSGK, sight, keys_B, bias_BHTS, kernel)
    axis = "sequence" if parts > 1 else None
    specs = (cut("BTHK", q_BTHK.shape), cut("BSGK", k_BSGK.shape), cut("BSGK", v_BSGK.shape),
             _sight_specs(cut, sight), keys_B is not None and cut("B", keys_B.shape) or None,
             bias_BHTS is not None and cut("BHTS", bias_BHTS.shape) or None,
             kernel and splash.specs(kernel, mesh, axis))
    run = functools.partial(_alone, name, case, scale=scale, rate=rate)
    return jax.shard_map(run, in_specs=specs, out_specs=specs[0], check_vma=False)(*arrays)


def choose(case: Case, backend: Backend = "auto") -> str:
    """The backend of a case: the one that was asked for, or the first that takes it.

    Raises:
      UserError: the one that was asked for refuses.
    """
    if backend != "auto":
        if why := REFUSALS[backend](case):
            raise UserError(f"run.attention={backend}: {why}; use another backend, or auto")
        return backend
    name = next(name for name, refusal in REFUSALS.items() if refusal(case) is None)
    if wanted := FASTEST.get(case.platform):
        tell(name, "the kernel for this device" if name == wanted else REFUSALS[wanted](case))
    return name


@functools.cache
def tell(name: str, why: str) -> None:
    """Each choice once."""
    logging.getLogger("transformer").info("attention: %s (%s)", name, why)


def _alone(name, case, q_BTHK, k_BSGK, v_BSGK, sight, keys_B, bias_BHTS, kernel, *, scale, rate):
    """A backend over what one device has."""
    if name == "splash":
        return splash.attend(case, q_BTHK, k_BSGK, v_BSGK, sight, scale, kernel)
    if name == "cudnn":
        return cudnn.attend(case, q_BTHK, k_BSGK, v_BSGK, sight, scale, bias_BHTS)
    reach = None if case.parted else sight.reach
    return tiles.attend_in_tiles(q_BTHK, k_BSGK, v_BSGK, sight.see(), scale, keys_B, rate, reach)


def _case(q_BTHK, k_BSGK, sight, dropout, bias_BHTS, mesh, whole) -> Case:
    tensor = 1 if whole else mesh.shape["tensor"]
    parts = _parts(mesh, whole, q_BTHK.shape[1])
    T, H, K = q_BTHK.shape[1:]
    S, G = k_BSGK.shape[1:3]
    return Case(
        platform(), q_BTHK.dtype.name, T // parts, S, H // tensor, max(1, G // tensor), K,
        sight.reach, segments=sight.query_BT is not None and sight.key_BS is not None,
        aligned=sight.aligned, prefix=sight.prefix_BS is not None, bias=bias_BHTS is not None,
        dropout=dropout, cached=sight.cached, parted=parts > 1, spread=not whole)


def _parts(mesh, whole: bool, queries: int) -> int:
    """Over how many devices a row's queries are cut; what does not divide stays in one piece."""
    parts = 1 if whole else mesh.shape["sequence"]
    return 1 if queries % parts else parts


def _cut(mesh, parted: bool, letters: str, shape) -> PartitionSpec:
    """By letters, but for dimensions of one, which stand for all."""
    letters = "".join("." if size == 1 or (letter == "T" and not parted) else letter
                      for letter, size in zip(letters, shape))
    return place(letters, shape, mesh, ACTIVATIONS)


def _sight_specs(cut, sight):
    wide = {"i_BT": "BT", "query_BT": "BT", "j_BS": "BS", "key_BS": "BS", "prefix_BS": "BS",
            "branch_BTS": "BTS"}
    return dataclasses.replace(sight, **{
        name: None if getattr(sight, name) is None else cut(letters, getattr(sight, name).shape)
        for name, letters in wide.items()})


def _enough(x_BSGK, tensor: int):
    """Keys or values with so many heads that `tensor` devices share them evenly: each device has
    the key-value head of its own query heads."""
    G = x_BSGK.shape[2]
    return x_BSGK if G % tensor == 0 else jnp.repeat(x_BSGK, tensor // math.gcd(G, tensor), 2)
