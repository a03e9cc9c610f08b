"""Reading states back from a checkpoint: all of it, or the parameters alone.

On disk a state is nested dicts of arrays, one level for each name of a path, whatever containers
an optimizer library keeps its state in. Random keys (threefry) are stored as their uint32 data.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from transformer.error import UserError
from transformer.training import manifest, paths


def plain(state) -> dict:
    """The tree that goes to disk: nested dicts by path."""
    return paths.nested({p: _plain(leaf) for p, leaf in paths.named(state).items()})


def shapes(path) -> dict:
    """{path: jax.ShapeDtypeStruct} of everything in the state of a step directory."""
    tree = _handler().metadata(_state(path)).item_metadata.tree
    return {name: jax.ShapeDtypeStruct(tuple(leaf.shape), leaf.dtype)
            for name, leaf in paths.named(tree).items()}


def restore_state(path, abstract, verified: bool = False):
    """The state of a step directory, in the structure, dtypes and shardings of `abstract`.

    `abstract` is a tree of arrays or of `jax.ShapeDtypeStruct`; without a sharding a leaf goes to
    the first device of this process. The manifest is checked first unless the caller already did.

    Raises:
      UserError: the checkpoint is damaged, or a leaf is missing, left over or of another shape or
        dtype; the first such leaf is named.
    """
    _require_good(path, verified)
    wanted, there = paths.named(abstract), shapes(path)
    for name in there:
        if name not in wanted:
            raise UserError(f"{path}: holds {name}, which this run has not")
    for name, leaf in wanted.items():
        if name in there and there[name].dtype != (want := _stored(leaf)).dtype:
            raise UserError(f"{path}: {name} is {there[name].dtype}, but this run has {want.dtype}")
    return _read(path, abstract, "", there)


def restore_params(path, abstract=None, average: bool = False, verified: bool = False):
    """The parameters of a step directory (`average`: their moving average), and nothing else.

    `abstract` is a tree as in `restore_state` that may lack some of the stored parameters; its
    dtypes may differ and are cast to. None: all parameters as numpy arrays.

    Raises:
      UserError: the checkpoint is damaged, or a parameter is missing or of another shape.
    """
    _require_good(path, verified)
    part = "ema" if average else "params"
    there = {n: s for n, s in shapes(path).items() if n.startswith(part + "/")}
    if not there:
        raise UserError(f"{path}: this checkpoint holds no {part}")
    if abstract is None:
        whole = _restore(path, paths.nested(there), lambda _: ocp.RestoreArgs(np.ndarray))
        return whole[part]
    return _read(path, abstract, part + "/", there)


def _read(path, abstract, prefix: str, there: dict):
    wanted = {prefix + name: leaf for name, leaf in paths.named(abstract).items()}
    for name, leaf in wanted.items():
        if name not in there:
            raise UserError(f"{path}: lacks {name}")
        if there[name].shape != (want := _stored(leaf)).shape:
            raise UserError(f"{path}: {name} is {list(there[name].shape)}, but this run has "
                            f"{list(want.shape)}")
    targets = paths.nested({name: _stored(leaf) for name, leaf in wanted.items()})
    found = paths.named(_restore(path, targets, _arguments))
    return paths.like(abstract, {n.removeprefix(prefix): _wrap(found[n], leaf)
                                 for n, leaf in wanted.items()})


def _restore(path, targets, arguments):
    try:
        return _handler().restore(_state(path), args=ocp.args.PyTreeRestore(
            targets, restore_args=jax.tree.map(arguments, targets), partial_restore=True))
    except Exception as error:  # the reader below raises bare Exceptions
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: cannot be restored: {line}") from error


def _arguments(leaf) -> ocp.RestoreArgs:
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return ocp.ArrayRestoreArgs(jax.Array, leaf.dtype, sharding=sharding, global_shape=leaf.shape)


def _require_good(path, verified: bool) -> None:
    if not verified and (found := manifest.problems(path)):
        raise UserError(f"damaged checkpoint: {found[0]}")


def _is_key(leaf) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf):
    if not isinstance(leaf, jax.Array):
        return np.asarray(leaf)
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _stored(leaf) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    if _is_key(leaf):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _wrap(value, leaf):
    if not _is_key(leaf):
        return value
    return jax.random.wrap_key_data(value, impl="threefry2x32")


def _state(path) -> Path:
    return Path(path).absolute() / "state"


def _handler() -> ocp.Checkpointer:
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
