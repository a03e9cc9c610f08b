"""`python -m transformer models`: what the zoo holds."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from pathlib import Path

from transformer import zoo


def families() -> dict:
    """{family: module} of every file in the zoo."""
    names = sorted(module.name for module in pkgutil.iter_modules(zoo.__path__))
    return {name: importlib.import_module(f"transformer.zoo.{name}") for name in names}


def rows() -> list[dict]:
    """One row for each size: {family, size, parameters, paper, objectives, command}.

    The command is quoted because some shells look for files wherever a word has a star.
    """
    from transformer.nn.door import Model

    found = []
    for family, module in families().items():
        pairs = "sequence_to_sequence" in module.OBJECTIVES
        data = "path=train.tsv,validation=valid.tsv" if pairs else "path=data/*.txt"
        for size in module.SIZES:
            count = Model(getattr(module, family)(size)).count()
            found.append({"family": family, "size": size, "parameters": count,
                          "paper": module.PAPER, "objectives": list(module.OBJECTIVES),
                          "command": f"python train.py 'configs/pretrain/{family}.py:{data},"
                                     f"size={size}'"})
    return found


def command(arguments: list[str]) -> int:
    """Prints the table; `--json=PATH` writes it too."""
    parser = argparse.ArgumentParser(prog="python -m transformer models", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the table here as well")
    options = parser.parse_args(arguments)
    table = rows()
    print(f"{'family':9}{'size':8}{'parameters':>16}  {'objectives':24}command")
    for row in table:
        objectives = ", ".join(row["objectives"][:1]) + (" ..." if row["objectives"][1:] else "")
        print(f"{row['family']:9}{row['size']:8}{row['parameters']:>16,}  {objectives:24}"
              f"{row['command']}")
    papers = {row["family"]: row["paper"] for row in table}
    print("\n" + "\n".join(f"{family}: {paper}" for family, paper in papers.items()))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0
