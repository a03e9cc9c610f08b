"""From letters to mesh axes: one table for parameters, one for activations, one for paths."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from transformer.error import UserError
from transformer.spec import Spec

# Ordered: a mesh axis goes to the first letter of the table that wants it.
PARAMETERS = {"H": ("tensor",), "G": ("tensor",), "M": ("tensor",), "F": ("tensor",),
              "V": ("tensor",), "D": ("fsdp",), "R": ("fsdp",)}
ACTIVATIONS = {"B": ("data", "fsdp"), "T": ("sequence",), "H": ("tensor",), "G": ("tensor",),
               "M": ("tensor",), "F": ("tensor",), "V": ("tensor",)}
MAY_DROP = "GSRC."  # an axis that does not divide these is dropped; any other letter is an error

# The end of a parameter's path -> its letters. Each parameter of each model matches one row.
LETTERS = (
    (r"embedding/tokens", "VD"), (r"embedding/(types|positions)", ".D"),
    (r"embedding/project", "RD"), (r"embedding/project_bias", "."), (r"bias/table", ".H"),
    (r"(attention|cross)/query", "DHK"), (r"(attention|cross)/(key|value)", "DGK"),
    (r"(attention|cross)/out", "HKD"), (r"(attention|cross)/query_bias", "HK"),
    (r"(attention|cross)/(key|value)_bias", "GK"), (r"(attention|cross)/out_bias", "."),
    (r"feedforward/(up|gate)", "DF"), (r"feedforward/(up|gate)_bias", "F"),
    (r"feedforward/down", "FD"), (r"feedforward/down_bias", "."),
    (r"norm/(scale|shift)", "."), (r"pooler/dense", "D."), (r"pooler/dense_bias", "."),
    (r"heads_\w+/(transform|classes)", "D."), (r"heads_\w+/(transform|classes)_bias", "."),
    (r"heads_\w+/positions", ".."), (r"heads_\w+/mix", ".D"), (r"heads_\w+/mix_bias", "."),
    (r"heads_\w+/vocab_bias", "V"), (r"heads_\w+/unembedding", "DV"),
    # recurrent layers: D is what comes in, F the state, the dot between them the gates
    (r"layer_\d+\w*/(input|recurrent|context)", "D.F"), (r"layer_\d+\w*/bias", ".F"),
    (r"align/(query|key)", "DF"), (r"align/score", "F"),
    (r"start/(shown|cell)_\d+", "DF"), (r"start/(shown|cell)_\d+_bias", "F"),
    (r"readout/(state|token|context)", "DF."), (r"readout/state_bias", "F."),
    (r"readout/factor", "FD"),
)


class Mesh(Spec):
    """Sizes of the four mesh axes; -1 takes the devices that are left over.

    data: rows, parameters replicated. fsdp: rows, parameters split by width (Rajbhandari 2020
    §5.3). tensor: heads, feed-forward and vocabulary (Shoeybi 2019 §3). sequence: positions.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    sequence: int = 1

    def check(self):
        for name in ("data", "fsdp", "tensor", "sequence"):
            if (size := getattr(self, name)) < 1 and size != -1:
                raise UserError(f"mesh.{name} is {size}; give a number of devices, or -1 for "
                                "those that are left over")

    def build(self, devices=None) -> jax.sharding.Mesh:
        """The mesh over `devices` (all by default). UserError if the sizes do not multiply up."""
        devices = devices or jax.devices()
        names = ("data", "fsdp", "tensor", "sequence")
        sizes = [getattr(self, name) for name in names]
        known = math.prod(size for size in sizes if size != -1)
        left_over = sizes.count(-1)
        if left_over > 1 or len(devices) % known or (not left_over and known != len(devices)):
            raise UserError(f"mesh {dict(zip(names, sizes))} does not fit {len(devices)} devices; "
                            "let the sizes multiply to that number, or set one of them to -1")
        shape = [len(devices) // known if size == -1 else size for size in sizes]
        # jax.make_mesh refuses axes that take a part of a physical one, such as 64 x 8 of 8 x 8 x 8
        arranged = mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
        return jax.sharding.Mesh(arranged, names, axis_types=(AxisType.Auto,) * 4)


class Misfit(NamedTuple):
    """A dimension that its mesh axes do not divide: its letter and size, their names and product.
    """

    letter: str
    size: int
    axes: tuple[str, ...]
    ways: int


def place(letters: str, shape, mesh, table, may_drop: str = MAY_DROP) -> PartitionSpec:
    """The PartitionSpec of an array whose dimensions carry these letters.

    Raises:
      UserError: an axis does not divide a dimension that may not drop it.
    """
    spec, misfits = fit(letters, shape, mesh, table)
    for name, size, axes, ways in misfits:
        if name in may_drop:
            continue
        raise UserError(f"dimension {name} of size {size} does not divide by {ways}, the mesh axes "
                        f"{'+'.join(axes)}; use a multiple of {ways}")
    return spec


def fit(letters: str, shape, mesh, table) -> tuple[PartitionSpec, list[Misfit]]:
    """As `place`, with all dimensions that do not divide instead of an error."""
    free = {axis: size for axis, size in mesh.shape.items() if size > 1}
    chosen, misfits = {}, []
    for letter, axes in table.items():
        for n, (name, size) in enumerate(zip(letters, shape)):
            taken = [axis for axis in axes if axis in free]
            ways = math.prod(free[axis] for axis in taken)
            if name != letter or not taken:
                continue
            if size % ways == 0:
                chosen[n] = tuple(taken)
                free = {axis: s for axis, s in free.items() if axis not in taken}
            else:
                misfits.append(Misfit(name, size, tuple(taken), ways))
    return PartitionSpec(*(chosen.get(n) for n in range(len(shape)))), misfits


def constrain(x, letters: str):
    """Asks the compiler to lay out an activation by its letters; nothing without a mesh.

    Positions that do not divide stay whole: a new token comes alone. The lengths of rows are
    checked before (`training.division`).
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    spec = place(letters, x.shape, mesh, ACTIVATIONS, may_drop=MAY_DROP + "T")
    return jax.lax.with_sharding_constraint(x, spec)


def filled(rows: int) -> int:
    """`rows` rounded up to what the mesh in force cuts rows into."""
    mesh = jax.sharding.get_abstract_mesh()
    ways = math.prod(mesh.shape[axis] for axis in ACTIVATIONS["B"] if axis in mesh.shape)
    return -(-rows // ways) * ways


def fetched(tree):
    """The arrays on the host, whole; what devices of several processes hold, in each process."""
    from jax.experimental.multihost_utils import process_allgather

    def one(x):
        alone = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
        return x if alone else process_allgather(x, tiled=True)

    return jax.device_get(jax.tree.map(one, tree))


def letters(path: str, rank: int) -> str:
    """The letters of the parameter at `path`; stacked leaves get a leading L.

    Raises:
      KeyError: no row of the table, or more than one, matches the path.
    """
    rows = [row for pattern, row in LETTERS if re.search(rf"(^|[/_]){pattern}$", path)]
    if len(rows) != 1:
        raise KeyError(f"{path}: {len(rows)} rows of LETTERS match, want 1")
    return "L" * (rank - len(rows[0])) + rows[0]


def parameter_shardings(params, mesh):
    """NamedShardings for a tree of parameters, arrays or shapes. Errors as `place` and `letters`.
    """

    def one(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return NamedSharding(mesh, place(letters(name, leaf.ndim), leaf.shape, mesh, PARAMETERS))

    return jax.tree_util.tree_map_with_path(one, params)


def batch_shardings(batch, mesh, lead: int = 0):
    """NamedShardings for a batch: rows over data and fsdp. `lead`: dimensions before B."""

    def one(leaf):
        spec = place("." * lead + "B" + "." * (leaf.ndim - lead - 1), leaf.shape, mesh, ACTIVATIONS)
        return NamedSharding(mesh, spec)

    return jax.tree.map(one, batch)
