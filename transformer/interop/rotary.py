"""Rotary positions in config.json: `rope_parameters`, or the older `rope_theta`, `rope_scaling`."""

from __future__ import annotations

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.family import Unlike
from transformer.nn.position import LinearScaling, Llama3Scaling, Rotary, Unscaled


def rotary_of(config: Config, base: float = 10_000.0, fraction: float = 1.0,
              words: tuple[str, str] = ("rope_theta", "partial_rotary_factor")) -> Rotary:
    """The rotation that a config.json asks for.

    base, fraction: the family's defaults; words: its older names for them.
    """
    about = config.raw("rope_parameters") or config.raw("rope_scaling") or {}
    return rotation(about, config, config.number(words[0], base),
                    config.number(words[1], fraction))


def rotation(about, config: Config, base: float, fraction: float = 1.0) -> Rotary:
    """The rotation that one object of rope parameters describes, with defaults for two entries."""
    if not isinstance(about, dict):
        raise UserError(f"{config.where}: rope_parameters must be an object")
    inside = Config(about, f"{config.where}, rope_parameters")
    kind = about.get("rope_type", about.get("type", "default"))
    scaling: Unscaled
    if kind == "default":
        scaling = Unscaled()
    elif kind == "linear":
        scaling = LinearScaling(factor=inside.number("factor"))
    elif kind == "llama3":
        length = config.raw("max_position_embeddings")
        scaling = Llama3Scaling(
            factor=inside.number("factor"), low=inside.number("low_freq_factor"),
            high=inside.number("high_freq_factor"),
            length=inside.count("original_max_position_embeddings", length))
    else:
        raise UserError(f"{config.where}: rotary positions of type {kind!r} are not supported; "
                        "supported: default, linear, llama3")
    return Rotary(base=inside.number("rope_theta", base), scaling=scaling,
                  fraction=inside.number("partial_rotary_factor", fraction))


def written(rotary: Rotary | None) -> dict:
    """The object of rope parameters that says the same. Unlike where nothing is rotated."""
    if rotary is None:
        raise Unlike("rotary positions are needed, this has none")
    about: dict = {"rope_theta": rotary.base, "rope_type": "default"}
    if rotary.fraction != 1:
        about["partial_rotary_factor"] = rotary.fraction
    match rotary.scaling:
        case LinearScaling(factor=factor):
            about |= {"rope_type": "linear", "factor": factor}
        case Llama3Scaling(factor=factor, low=low, high=high, length=length):
            about |= {"rope_type": "llama3", "factor": factor, "low_freq_factor": low,
                      "high_freq_factor": high, "original_max_position_embeddings": length}
    return about
