"""`python -m transformer profile CONFIG.py`: where the time of a training step goes."""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
from pathlib import Path

from transformer.error import UserError, require_folder
from transformer.spec import setting

TEXT = """Takes training steps of a config, writes a trace that TensorBoard and Perfetto open, and
prints where the time of a step goes. Rows add up to the step as it was traced. Time at which the
device does several things is shared among them; data wait, host and collectives are what nothing
on the device hides. The floor of a row is the larger of its arithmetic at the matmul rate and its
least memory traffic at the bandwidth, both measured first."""


def command(arguments: list[str]) -> int:
    """Prints the table; `--json=PATH` writes it too.

    Raises:
      UserError: as `train.py`, of the config and its data; a profiler that wrote nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m transformer profile", description=TEXT,
                                     allow_abbrev=False, epilog=(
        "Any field of the experiment can be set, as for train.py: --batch=64."))
    parser.add_argument("config", help="FILE.py or FILE.py:name=value,...")
    parser.add_argument("--steps", type=int, default=5, metavar="N",
                        help="steps to trace (default: %(default)s)")
    parser.add_argument("--stage", metavar="NAME", help="of a config with stages (default: first)")
    parser.add_argument("--workdir", type=Path, metavar="DIR", help=(
        "where the run lives, for what earlier stages left (default: runs/NAME of the config)"))
    parser.add_argument("--trace", type=Path, metavar="DIR",
                        help="where the trace goes (default: WORKDIR/profile)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers here as well")
    options, rest = parser.parse_known_args(arguments)
    require_folder(options.json)
    if options.steps < 1:
        raise UserError(f"--steps={options.steps}: trace at least one step")
    overrides = [setting(text) for text in rest]
    workdir = options.workdir or Path("runs") / Path(options.config.partition(":")[0]).stem
    _name_every_kernel()
    from transformer.launch import configure
    from transformer.profiling.measure import profile

    configure()
    experiment = _stage(options, overrides)
    trace = options.trace or workdir / "profile"
    found = profile(experiment, options.steps, trace, workdir)
    print(report(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def report(found: dict) -> str:
    """The numbers of `profile` as people read them."""
    from transformer.profiling.table import text

    mfu = "n/a (unknown device)" if found["mfu"] is None else f"{found['mfu']:.1%}"
    return "\n".join((
        text(found["rows"]),
        f"step {1e3 * found['step_seconds']:,.3f} ms without the trace; the floor is "
        f"{found['floor'] / found['step_seconds']:.0%} of that",
        f"{found['of_matmul_rate']:.1%} of the measured matmul rate "
        f"({found['matmul_rate'] / 1e9:,.0f} GFLOP/s {found['dtype']}), MFU {mfu}; memory "
        f"{found['bandwidth'] / 1e9:,.0f} GB/s measured",
        f"data: {1e3 * found['seconds_data']:,.3f} ms of the host's time; collectives under way "
        f"{1e3 * found['seconds_collectives']:,.3f} ms, hidden or not",
        f"{found['devices']} x {found['device']}, the first one's time; trace of {found['steps']} "
        f"steps in {found['trace']}"))


def _stage(options, overrides):
    """The experiment that was asked for."""
    from transformer import kinds
    from transformer.spec import nearest
    from transformer.training.config import stages

    kinds.register()
    found = stages(options.config, overrides)
    name = next(iter(found)) if options.stage is None else options.stage
    if name not in found:
        raise UserError(f"--stage={name}: {options.config} has no such stage{nearest(name, found)}")
    return found[name]


def _name_every_kernel() -> None:
    """Keeps XLA from recording kernels of a GPU as one graph: in a trace they would have no names.

    Only before JAX begins, and only where it has a GPU's plugin, does this change anything.
    """
    flag, found = "--xla_gpu_enable_command_buffer", os.environ.get("XLA_FLAGS", "")
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if any("cuda" in plugin.name for plugin in plugins) and flag not in found:
        os.environ["XLA_FLAGS"] = " ".join(itertools.chain(found.split(), [f"{flag}="]))
