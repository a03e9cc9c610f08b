"""A plan as a table for people, and as numbers for programs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

from transformer.scaling.adapt import said
from transformer.scaling.forecast import link
from transformer.scaling.plan import Plan
from transformer.scaling.program import Step

HOW = {
    "parameters": "counted", "optimizer": "counted", "gradients": "counted",
    "activations": "counted: what the backward pass keeps of one slice",
    "batch": "counted",
    "temporaries": "compiled: the rest of what the program reserves",
}
ESTIMATE = ("an estimate: compiled for CPUs, which hold some bfloat16 arrays in float32; times "
            "are the device table's")


def lines(plan: Plan) -> list[str]:
    """The table. What needs a figure that no data sheet gives is n/a."""
    return [*_head(plan), *[f"  note       {note}" for note in plan.notes], *_verdict(plan), "",
            "  memory of a device", *_memory(plan), *_advice(plan), *_work(plan)]


def record(plan: Plan) -> dict:
    """Every number of the table: bytes, seconds, FLOPs."""
    parts = {name: getattr(plan, name) for name in ("memory", "times")}
    return {
        "topology": plan.topology.text, "chips": plan.topology.chips,
        "mesh": dict(plan.step.mesh.shape), "settings": said(plan.step.experiment),
        "batch": plan.step.experiment.batch, "accumulate": plan.step.experiment.accumulate,
        "run": dataclasses.asdict(plan.step.run), "parameters": plan.step.model.count(),
        "estimate": not plan.topology.is_tpu, "notes": plan.notes, "fits": plan.fits,
        "usable": plan.topology.device.usable,
        **{name: part and dataclasses.asdict(part) for name, part in parts.items()},
        "flops": plan.work and plan.work.flops, "recomputed": plan.work and plan.work.recomputed,
        "moved": plan.work and plan.work.moved, "tokens": plan.work and plan.work.tokens,
        "collectives": [dict(kind=kind, axes=axes, **row) for (kind, axes), row in
                        by_axis(plan).items()],
        "advice": [dataclasses.asdict(one) for one in plan.advice],
        "compile_seconds": plan.seconds,
    }


def by_axis(plan: Plan) -> dict:
    """{(kind, axes): {times, bytes, sent, seconds, known}} of one device's step."""
    table = defaultdict(lambda: dict(times=0, bytes=0.0, sent=0.0, seconds=0.0, known=True))
    for one in plan.sent:
        row, rate = table[one.kind, one.axes or "?"], link(one, plan.topology)
        row["times"] += one.times
        row["bytes"] += one.times * one.bytes
        row["sent"] += one.times * one.sent
        seconds = one.times * one.sent / rate if rate else None
        row["seconds"] = None if None in (seconds, row["seconds"]) else row["seconds"] + seconds
        row["known"] &= one.known
    return dict(sorted(table.items(), key=lambda item: -item[1]["sent"]))


def shape(step: Step) -> str:
    """Mesh, batch and how it runs, in words."""
    experiment = step.experiment
    axes = ", ".join(f"{axis} {n}" for axis, n in step.mesh.shape.items() if n > 1) or "1 device"
    rows = experiment.batch // experiment.accumulate
    return (f"{axes}; {experiment.batch:,} rows in {experiment.accumulate} slice(s) of {rows:,}; "
            f"{step.run.dtype}, remat {step.run.remat}")


def _head(plan: Plan) -> list[str]:
    topology, step = plan.topology, plan.step
    kind = type(step.experiment.model).__name__
    chips = f"{topology.chips:,} x {topology.device.kind}"
    return [f"  machine    {topology.text}: {chips}"
            + ("" if topology.is_tpu else f" ({ESTIMATE})"),
            f"  model      {kind}, {step.model.count():,} parameters",
            f"  step       {shape(step)}"]


def _verdict(plan: Plan) -> list[str]:
    word = {True: "yes", False: "NO", None: "n/a"}[plan.fits]
    least = "at least " if plan.memory.temporaries is None else ""
    return [f"  compiled   in {plan.seconds:.0f} s",
            f"  fits       {word}: {least}{size(plan.memory.total)} of "
            f"{size(plan.topology.device.usable)}"]


def _memory(plan: Plan) -> list[str]:
    rows = [(name, getattr(plan.memory, name), how) for name, how in HOW.items()]
    rows.append(("total", plan.memory.total,
                 "compiled" if plan.memory.temporaries is not None else
                 "counted, or what the compiler said before it gave up"))
    return [f"    {name:12} {size(value):>10}  {how}" for name, value, how in rows]


def _advice(plan: Plan) -> list[str]:
    if not plan.advice:
        return []
    return ["", "  what would help most, of a device, as counted",
            *[f"    {one.settings:40} saves {size(one.saved)}" for one in plan.advice]]


def _work(plan: Plan) -> list[str]:
    if plan.work is None:
        return []
    work, times = plan.work, plan.times
    found = ["", "  a step",
             f"    FLOPs        {work.flops:.4g} of the model by arithmetic, {work.recomputed:.3g} "
             "computed again",
             "                 (the compiler's count is not used: a loop's body counts once there, "
             "a kernel nothing)",
             f"    memory       {size(work.moved)} read and written by each device"
             + ("" if plan.topology.is_tpu else ", at least")]
    found += ["", f"  {'collectives of a device':25} {'axes':16} {'times':>6} {'bytes':>10} "
              f"{'sent':>10} {'time':>9}"]
    for (kind, axes), row in by_axis(plan).items():
        found.append(f"    {kind:23} {axes:16} {row['times']:6,} {size(row['bytes']):>10} "
                     f"{size(row['sent']):>10} {duration(row['seconds']):>9}"
                     + ("" if row["known"] else "  (a loop of unknown length counts once)"))
    if not plan.sent:
        found[-1] = "  collectives  none"
    found += ["", "  time of a step at the data sheet's rates",
              f"    compute      {duration(times.compute)}" + (
                  "" if plan.step.run.dtype == "bfloat16" else
                  ", if float32 were as fast as the sheet's bfloat16"),
              f"    memory       {duration(times.memory)}",
              f"    network      {duration(times.network)}"]
    if times.lowest is None:
        return [*found, "    step, MFU, tokens/s, days, chip-hours: n/a"]
    return [*found, f"    step         {duration(times.lowest)} if all of it overlaps, "
            f"{duration(times.highest)} if nothing does",
            f"    MFU          {_range(times.mfu, '.1%')}",
            f"    tokens/s     {_range(times.tokens_per_second, ',.0f')}", "",
            f"  the run: {work.steps:,} steps, {work.steps * work.tokens:.4g} tokens",
            f"    days         {_range(times.days[::-1], ',.3g')}",
            f"    chip-hours   {_range(times.chip_hours[::-1], ',.0f')}"]


def size(count: float | None) -> str:
    """Bytes in the unit that shows them best."""
    if count is None:
        return "n/a"
    unit = next((n for n in (3, 2, 1) if count >= 2 ** (10 * n)), 0)
    return f"{count / 2 ** (10 * unit):,.{2 * bool(unit)}f} {('B', 'KiB', 'MiB', 'GiB')[unit]}"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that shows them best."""
    if seconds is None:
        return "n/a"
    unit, times = next(((u, n) for u, n in (("s", 1), ("ms", 1e3)) if seconds * n >= 1),
                       ("us", 1e6))
    if 0 < seconds < 1e-6:
        return "< 1 us"
    return f"{seconds * times:.3g} {unit}"


def _range(pair, form: str) -> str:
    return f"{pair[0]:{form}} to {pair[1]:{form}}"
