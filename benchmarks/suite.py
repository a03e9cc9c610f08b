"""What the whole suite runs on a kind of machine, the most important first, in a given time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import record
from benchmarks.workloads import SCALES


class Item(NamedTuple):
    """module: of benchmarks/. arguments: for it. least: seconds without which it is not begun, for
    it would not end in time. minutes: of measuring, for those that take them."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    least: float = 30
    minutes: float | None = None

    def command(self) -> list[str]:
        minutes = () if self.minutes is None else (f"--minutes={self.minutes:g}",)
        return [sys.executable, "-m", f"benchmarks.{self.module}", *self.arguments, *minutes]


def cpu(minutes: float, precision: str) -> list[Item]:
    """On the cores of this machine. minutes: of the whole suite, of which preparation takes half;
    by `least` the slower items end well on two cores."""
    how = (f"--precision={precision}",)
    part = lambda share: minutes * share / 2
    return [
        # of the peers the two that keep memory: they were never the slower ones
        *(Item(f"train_{shape}", "train", (*how, "--shapes", shape, "--peers", "compile kept",
                                           "eager kept"), 60, part(0.15))
          for shape in ("gpt", "bert", "encoder_decoder")),
        Item("decode", "decode", how, 90, part(0.2)),
        Item("published", "published", (), 90, part(0.15)),
        Item("compile", "compile", how, 120, 0.1),
        Item("startup", "startup", how, 20),
        Item("loader", "loader", how, 40, part(0.1)),
        Item("memory", "memory", how, 20),
        Item("encode", "encode", (), 40, part(0.1)),
        Item("interop", "interop", (), 60),
    ]


def accelerator(scale: str) -> list[Item]:
    """On the first GPU or TPU. The times are guesses for one H200 until someone has seen them."""
    how = (f"--scale={scale}",)
    tiny = scale == "tiny"
    peers = ("--peers", "eager") if tiny else ()
    least = 10 if tiny else 60
    train = {name: Item(f"train_{name}", "accelerator", (*how, *peers, "--workloads", name), least,
                        0.2) for name in SCALES[scale]}
    first, *others = train.values()
    return [first, Item("first_step", "first_step", how, least),
            Item("decode", "accelerator_decode", how, least, 0.3), *others,
            Item("compile", "compile", (*how, "--precision=bf16"), least, 0.1)]


def run(items: Sequence[Item], minutes: float) -> tuple[list[str], list[str]]:
    """(items that failed, items that did not fit into the time)."""
    ends, failed, left = time.monotonic() + 60 * minutes, [], []
    for item in items:
        remaining = ends - time.monotonic()
        if remaining < item.least:
            left.append(item.name)
            continue
        print(f"== {item.name} ({remaining:.0f} s left)", flush=True)
        status = within(item.command(), remaining)
        if status is None:
            left.append(item.name)
        elif status:
            failed.append(item.name)
    return failed, left


def within(command: Sequence[str], seconds: float) -> int | None:
    """The exit status of a command; None if it was ended, with all that it began, for its time was
    up."""
    child = subprocess.Popen(command, cwd=record.RESULTS.parent.parent, start_new_session=True)
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:  # after Ctrl-C too
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
