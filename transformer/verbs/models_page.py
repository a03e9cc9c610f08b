"""docs/models.md, from the table of `python -m transformer models`."""

from __future__ import annotations

import inspect
import itertools

from transformer.spec import Spec
from transformer.verbs.models import families, recipe

_HEAD = """\
# Models

What `transformer/zoo/` holds, as `python -m transformer models --markdown=docs/models.md` writes
it; a test compares the two. Parameters are counted from the shapes of each model as it pretrains,
heads included, one that several layers share once. "Hugging Face" names the families that
`python -m transformer import` reads and `export` writes; every model goes out as StableHLO.

"""


def page(table: list[dict]) -> str:
    """The page, from `models.rows()`."""
    groups = [(family, list(rows)) for family, rows in
              itertools.groupby(table, key=lambda row: row["family"])]
    lines = ["| | shape | paper | Hugging Face |", "|---|---|---|---|"]
    for family, rows in groups:
        lines.append(f"| [{family}](#{family}) | {_shape(family)} | {rows[0]['paper']} | "
                     f"{_interop(rows[0]) or '-'} |")
    return _HEAD + "\n".join(lines) + "\n" + "".join(_section(*group) for group in groups)


def _section(family: str, rows: list[dict]) -> str:
    module, first = families()[family], rows[0]
    title = module.__doc__.strip().splitlines()[0]
    objectives = ", ".join(f"`{name}`" for name in first["objectives"])
    reason = first["alone"] and f" Does not go to Hugging Face: {first['alone']}."
    how = recipe(family, "SIZE")
    trained = f"\n    {how}\n" if how else "\nFor interop only: there is no recipe.\n"
    return (f"\n## {family}\n\n{title}{reason}\n\nObjectives: {objectives}.\n\n"
            f"{_sizes(module, rows)}{trained}")


def _sizes(module, rows: list[dict]) -> str:
    """A line for each size: its arguments, those that it leaves out as they are by default."""
    first = inspect.signature(getattr(module, rows[0]["family"])).parameters
    names = [name for name in first if any(name in size for size in module.SIZES.values())]
    lines = [f"| size | {' | '.join(names)} | parameters |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        size = module.SIZES[row["size"]]
        values = [_cell(size.get(name, first[name].default)) for name in names]
        lines.append(f"| {row['size']} | {' | '.join(values)} | {row['parameters']:,} |")
    return "\n".join(lines) + "\n"


def _cell(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, Spec)):
        return value if isinstance(value, str) else type(value).__name__
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _shape(family: str) -> str:
    return type(getattr(families()[family], family)("tiny")).__name__


def _interop(row: dict) -> str:
    return ", ".join(f"`{name}`" for name in row["interop"])
