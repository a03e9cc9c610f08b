"""Rotary positions in config.json: `rope_parameters`, or the older `rope_theta`, `rope_scaling`."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.anatomy import Unlike
from transformer.interop.config import Config
from transformer.nn.position import Rotary


def rotary_of(config: Config, base: float = 10_000.0) -> Rotary:
    """The rotation that a config.json asks for. base: the family's default."""
    about = config.raw("rope_parameters") or config.raw("rope_scaling") or {}
    if not isinstance(about, dict):
        raise UserError(f"{config.where}: rope_parameters must be an object")
    kind = about.get("rope_type", about.get("type", "default"))
    if kind != "default":
        raise UserError(f"{config.where}: rotary positions of type {kind!r} are not supported")
    inside = Config(about, config.where)
    return Rotary(base=inside.number("rope_theta", config.number("rope_theta", base)))


def written(rotary: Rotary | None) -> dict:
    """The entries that say the same. Unlike where nothing is rotated."""
    if rotary is None:
        raise Unlike("rotary positions are needed, this has none")
    return {"rope_parameters": {"rope_type": "default", "rope_theta": rotary.base}}
