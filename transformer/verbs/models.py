"""`python -m transformer models`: what the zoo holds.

A family is a file of the zoo with a function of its name and, beside it, PAPER; OBJECTIVES; SIZES;
COUNTS, the published numbers of parameters; INTEROP, the Hugging Face families that it is, or
ALONE, why it is none; RECIPE = False where no config trains it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from pathlib import Path

from transformer import zoo
from transformer.error import require_folder


def families() -> dict:
    """{family: module} of every file in the zoo."""
    names = sorted(module.name for module in pkgutil.iter_modules(zoo.__path__))
    return {name: importlib.import_module(f"transformer.zoo.{name}") for name in names}


def recipe(family: str, size: str) -> str | None:
    """The command that trains a size; None where the family is here for interop only."""
    if not getattr(families()[family], "RECIPE", True):
        return None
    return f"python train.py configs/pretrain/{family}.py:size={size} --data.path=FILE"


def rows() -> list[dict]:
    """One row for each size: {family, size, parameters, paper, objectives, interop, alone,
    command}. interop: the Hugging Face families that it comes in from and goes out to."""
    from transformer.interop.family import known
    from transformer.nn.door import Model

    return [{"family": family, "size": size,
             "parameters": Model(getattr(module, family)(size)).count(),
             "paper": module.PAPER, "objectives": list(module.OBJECTIVES),
             "interop": [name for name in module.INTEROP if name in known()],
             "alone": getattr(module, "ALONE", ""), "command": recipe(family, size)}
            for family, module in families().items() for size in module.SIZES]


def command(arguments: list[str]) -> int:
    """Prints the table; `--json=PATH` and `--markdown=PATH` write it too."""
    parser = argparse.ArgumentParser(prog="python -m transformer models",
                                     description="What the zoo holds, with exact counts.")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the table here as well")
    parser.add_argument("--markdown", type=Path, metavar="PATH",
                        help="write it here as a page, like docs/models.md")
    options = parser.parse_args(arguments)
    require_folder(options.json, options.markdown)
    table = rows()
    _print("family", "size", "parameters", "objectives", "Hugging Face", "command")
    for row in table:
        objectives = row["objectives"][0] + (" ..." if row["objectives"][1:] else "")
        _print(row["family"], row["size"], f"{row['parameters']:,}", objectives,
               ", ".join(row["interop"]) or "-", row["command"] or "-")
    papers = {row["family"]: row["paper"] for row in table}
    print("\n" + "\n".join(f"{family}: {paper}" for family, paper in papers.items()))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        from transformer.verbs.models_page import page

        options.markdown.write_text(page(table), encoding="utf-8")
    return 0


def _print(family, size, parameters, objectives, interop, how) -> None:
    print(f"{family:11}{size:13}{parameters:>16}  {objectives:25}{interop:13}{how}")
