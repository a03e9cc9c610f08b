"""Measures every family on every mesh and writes the table of docs/mesh.md: a quarter of an hour.

`PYTHONPATH=. python tests/physics/sharded_table.py`, with the packages that it is to be of.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "mesh.md"
BEGIN, END = "<!-- every cell -->\n", "<!-- until here -->"


def table() -> str:
    """Of each cell the largest error, in millionths of what it is relative to."""
    from importlib.metadata import version

    from families import ALL
    from test_sharded_run import MESHES, check, measured, sizes_of

    named = lambda name, mesh: " x ".join(f"{a} {n}" for a, n in sizes_of(name, mesh)[0].items())
    lines = [f"Last run of every cell: {datetime.date.today()}, jax {version('jax')}.", "",
             "| family | " + " | ".join(named("", mesh) for mesh in MESHES) + " |",
             "|---" * (1 + len(MESHES)) + "|"]
    for name in ALL:
        found = measured(tuple((name, mesh) for mesh in MESHES))
        cells = []
        for mesh in MESHES:
            one = found[name, mesh]
            check(one, name, mesh)
            loss = max(abs(a / b - 1) for a, b in zip(one["sharded_losses"], one["losses"]))
            other = f" ({named(name, mesh)})" if named(name, mesh) != named("", mesh) else ""
            # errors of gradients are in units of 1e-5, that of the losses is not
            cells.append(f"{10 * max(one['errors'].values()):.2f}, {1e6 * loss:.2f}{other}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Puts the table between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    made = table()
    PAGE.write_text(before + BEGIN + made + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    main()
