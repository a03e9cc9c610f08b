"""`python -m transformer plan`: what a run needs of a machine, before anything is rented."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from transformer.error import UserError, require_folder
from transformer.scaling import topology as topologies
from transformer.spec import setting

WITHIN = "TRANSFORMER_PLAN"  # set in the process that compiles


def command(arguments: list[str]) -> int:
    """Prints the plan; status 0, or 1 where it does not fit."""
    options, overrides = _read(arguments)
    topology = topologies.parse(options.topology)
    require_folder(options.json)
    if WITHIN not in os.environ:
        # JAX reads the number of devices, and libtpu its settings, once, when they start
        environment = {**os.environ, **topologies.environment(topology), WITHIN: "1"}
        again = [*arguments, *(word for word in sys.argv if word == "--debug")]
        program = [sys.executable, "-m", "transformer", "plan", *again]
        status = subprocess.run(program, env=environment).returncode
        if status < 0:
            raise UserError(f"the compiler ended with signal {-status}; give it more memory, or "
                            "plan for a smaller machine")
        return status
    return _planned(options, overrides, topology)


def _read(arguments: list[str]):
    parser = argparse.ArgumentParser(
        prog="python -m transformer plan", description=__doc__.split(": ", 1)[1],
        epilog="Fields of the experiment are set as in training: --mesh.fsdp=64 --accumulate=25 "
               "--run.remat=full; with stages --STAGE.accumulate=25. Exit status: 0 it fits, "
               "1 it does not, 2 a mistake.")
    parser.add_argument("config", help="FILE.py or FILE.py:name=value,...")
    parser.add_argument("--topology", required=True, metavar="NAME:SHAPE",
                        help=f"the machine: {topologies.EXAMPLES}; h100:4x8 is four hosts of 8")
    parser.add_argument("--json", type=Path, metavar="PATH",
                        help="write every number here as well (bytes, seconds)")
    parser.add_argument("--search", action="store_true",
                        help="find the largest batch that fits, and the mesh and the "
                             "rematerialisation that make it fastest")
    parser.add_argument("--compilations", type=int, default=12, metavar="INT",
                        help="programs that --search compiles at most (default: %(default)s)")
    options, rest = parser.parse_known_args(arguments)
    if options.compilations < 1:
        raise UserError(f"--compilations={options.compilations}: a search compiles at least 1 "
                        "program")
    return options, [setting(text) for text in rest]


def _planned(options, overrides, topology) -> int:
    from transformer import kinds, wiring
    from transformer.scaling import report
    from transformer.scaling.plan import planned
    from transformer.scaling.search import search, table
    from transformer.shapes import one_example
    from transformer.training.config import stages

    kinds.register()
    devices, records, fits = topologies.devices(topology), [], True
    for stage, experiment in stages(options.config, overrides).items():
        wiring.require_kinds(experiment)
        chosen = tuple(path.removeprefix(f"{stage}.") for path, _ in overrides)
        example = one_example(experiment)
        print(f"\n== {stage or options.config} ==", flush=True)
        tried = []
        if options.search:
            plan, tried = search(experiment, example, topology, devices, options.compilations)
            print("\n".join(["", *table(tried), ""]))
        else:
            plan = planned(experiment, example, topology, devices, chosen)
        print("\n".join(report.lines(plan)), flush=True)
        fits &= plan.fits is not False
        records.append({"stage": stage, "config": options.config, **report.record(plan),
                        "tried": [report.record(one) for one in tried]})
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0 if fits else 1
