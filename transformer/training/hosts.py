"""The processes of one run, one or several: who writes, what all know, and what ends all of them.

`Alone` is a run of one process; `Hosts` one of several, with jax.distributed below and a
`switchboard` beside it, by which the death of one ends the others. Everything that all processes
call, they must call in the same order, from the main thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

from transformer.error import UserError, explained
from transformer.training import switchboard
from transformer.training.signals import Stop

GONE = 75  # EX_TEMPFAIL of sysexits.h: another process died; start the run again
ORPHANED = 134  # process 0 died, which jax's own service answers by SIGABRT
FAULT = 1  # the program's own, with a traceback
VERDICT = 10.0  # seconds in which the death of a process is known to the others
SEEN = 30.0  # seconds until a file is visible on every host; NFS keeps what it knew for 3 to 60 s
LEASE = 120.0  # seconds until the lock of a host that vanished is free; NFS leases last 90 s
# What the devices say of a faulty program; of memory only what `explained` leaves, a kernel's.
OWN = ("INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED")


class Alone:
    """A run of one process: it writes, and whatever it says it says to itself."""

    number, count, first, screen = 0, 1, True, None
    patience = 0.0  # seconds to wait for the lock of the run's directory

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_):
        pass

    def gather(self, value) -> list | None:
        """The values of all processes in their order, at process 0; None elsewhere."""
        return [value]

    def tell(self, value):
        """The value of process 0, which others leave out."""
        return value

    def agree(self, number: int) -> int:
        """The largest of the processes' numbers; waits for all of them."""
        found = self.gather(number)
        return self.tell(found and max(found))

    def once(self, make):
        """What `make` returns at process 0, for all of them: JSON."""
        return self.tell(make() if self.first else None)

    def listening(self, stop: Stop, mesh) :
        """`stop` as all processes obey it together."""
        return stop

    @contextlib.contextmanager
    def first_before_others(self):
        """Process 0 runs the body before the others do: what it makes, they find."""
        if not self.first:
            self.agree(0)
        yield
        if self.first:
            self.agree(0)

    def require_same(self, what: str, value: str) -> None:
        """UserError where a process has another value than process 0."""
        if self.tell(value) != value:
            raise UserError(f"process {self.number} has {what} other than process 0's; start all "
                            "processes with one command, on the same files")

    def require_shared(self, directory: Path) -> None:
        """UserError on a host that does not see what process 0 writes into `directory`."""
        path, mark = directory / "lock", self.once(lambda: _read(directory / "lock"))
        until = time.monotonic() + SEEN
        while _read(path) != mark:
            if time.monotonic() > until:
                raise UserError(
                    f"{directory.absolute()} on {socket.gethostname()} (process {self.number}) is "
                    "not the directory of process 0; name a --workdir on a file system that all "
                    "hosts share")
            time.sleep(0.2)


class Hosts(Alone):
    """One of several processes. As a context manager it ends the others when this one fails.

    Args:
      me: this process. lines: {number: (who, line)}; of process 0 to all others, else only to 0.
    """

    patience = LEASE  # the run may have been started again after the death of its first host

    def __init__(self, me: switchboard.Caller, lines: dict):
        self.number, self.count, self.first = me.number, me.count, me.number == 0
        self.me, self._lines = me, {n: line for n, (_, line) in lines.items()}
        self._who = {n: caller for n, (caller, _) in lines.items()}
        self._said = {n: queue.SimpleQueue() for n in lines}
        self._left: set[int] = set()  # whose work is done
        self._reasons: dict[int, str] = {}  # why somebody is about to end
        self._ending = threading.Lock()
        self.screen = None if self.first else open(os.devnull, "w", encoding="utf-8")
        switchboard.watch(self._lines, self._heard)

    def listening(self, stop: Stop, mesh):
        from transformer.training.agreement import Agreed

        return Agreed(stop, self, mesh)

    def gather(self, value) -> list | None:
        if self.first:
            return [value] + [self._said[n].get() for n in sorted(self._said)]
        self._lines[0].send(say=value)
        return None

    def tell(self, value):
        if not self.first:
            return self._said[0].get()
        self._all(tell=value)
        return json.loads(json.dumps(value))  # as the others have it

    def __exit__(self, kind, error, trace):
        if error is None:
            import jax

            self._all(bye=0)
            jax.distributed.shutdown()
            return
        text, status = explained(error) or _fault(error)
        if status == GONE:
            time.sleep(VERDICT)  # most likely another process died, and the watch ends this one
        shown = explained(error) is None or "--debug" in sys.argv
        if shown:
            traceback.print_exception(error)
        elif not self.first:
            self._all(end=[text, status])
            time.sleep(VERDICT)  # process 0 tells of it, once where all made the same mistake
        self._end(text, status, shown)

    def _all(self, **message) -> None:
        for line in self._lines.values():
            line.send(**message)

    def _heard(self, number: int, kind: str, value) -> None:
        """A message, in the thread of the switchboard."""
        if kind in ("say", "tell"):
            self._said[number].put(value)
        elif kind == "bye":
            self._left.add(number)
        elif kind == "end":
            self._reasons[number] = value
            threading.Timer(1.0, self._lost, [number]).start()  # it may be our mistake as well
        elif kind == "gone":
            self._left.add(number)
            message, status = value
            leave("" if status == UserError.status else message, status)
        elif number not in self._left and self.first:
            self._lost(number)
        elif number not in self._left:
            leave(f"{self._who[0]}, the coordinator: it is gone; start the run again", ORPHANED)

    def _lost(self, number: int) -> None:
        """Process 0: another one ends, or has ended, before its work was done."""
        text, status = self._reasons.get(number, ("it is gone; start the run again", GONE))
        mistake = status == UserError.status
        self._end(f"{text} ({self._who[number]})" if mistake else f"{self._who[number]}: {text}",
                  status)

    def _end(self, message: str, status: int, shown: bool = False) -> None:
        """Says why the run is over, here and to all, and ends this process at once.

        Leaving by the interpreter's own way would wait for processes that are dead.
        """
        with self._ending:
            if self.first:
                self._all(gone=[message, status])
                time.sleep(1.0)  # the service in this process is what the others live by
            else:
                self._all(end=[message, status])
            leave("" if shown else message, status)


def _fault(error: BaseException) -> tuple[str, int]:
    """A line for the other processes. Most that the devices report is cured by a new start."""
    import jax

    again = isinstance(error, jax.errors.JaxRuntimeError) and not str(error).startswith(OWN)
    return f"{type(error).__name__}: {error}".splitlines()[0], GONE if again else FAULT


def leave(message: str, status: int) -> None:
    """Ends the process from any thread, whatever the others do."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, message + "\n" if message else "")):
        with contextlib.suppress(Exception):
            stream.write(text)
            stream.flush()
    os._exit(status)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
