"""The mesh that shares a checkpoint's parameters, as options of a command line."""

from __future__ import annotations

AXES = {"data": "rows", "fsdp": "rows, and parameters by their width",
        "tensor": "heads, feed-forward width and vocabulary",
        "sequence": "positions; idle while generating"}


def add_mesh(add) -> None:
    """Adds the sizes of the mesh axes, spelled as `train.py` does; add: of an argparse parser."""
    for axis, cut in AXES.items():
        add(f"--mesh.{axis}", type=int, metavar="N", help=f"devices that share {cut}, int, -1 for "
            "all that are left (default: one device does all)")


def asked(options):
    """The `jax.sharding.Mesh` over all devices, or over the first one if no axis was named.

    Raises:
      UserError: the sizes do not multiply to the number of devices.
    """
    import jax

    from transformer.ops.placement import Mesh

    given = {axis: getattr(options, f"mesh.{axis}") for axis in AXES}
    sizes = {axis: size for axis, size in given.items() if size is not None}
    return Mesh(**sizes).build(None if sizes else jax.devices()[:1])
