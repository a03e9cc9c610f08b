"""Lines between the processes of one run: process 0 answers, the others call.

Each line is one TCP connection for the whole run, so the death of a process closes its line: the
kernel says so at once, and within seconds where the machine itself is gone (`KEEPALIVE`). Nothing
here needs the interpreter of the other side to answer, which may be busy compiling for minutes.

A message is one line of JSON with one entry:
  {"hello": Caller}    the first one of a process     {"here": word}   all have come, with a word
  {"say": value}       of the others to process 0     {"tell": value}  of process 0 to the others
  {"end": reason}      why it is about to end         {"gone": [message, status]}  the run is over
  {"bye": 0}           its work is done
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from typing import NamedTuple

from transformer.error import UserError

KEEPALIVE = dict(TCP_KEEPIDLE=3, TCP_KEEPINTVL=2, TCP_KEEPCNT=2, TCP_USER_TIMEOUT=7000)  # s, ms
AGAIN = 0.2  # seconds between two calls while process 0 is not there yet
LONGEST = 1 << 16  # bytes of a greeting; it may list some thousand processes


class Absent(UserError):
    """Somebody has not come. A new start may cure that, as it does not cure other mistakes."""

    status = 69  # EX_UNAVAILABLE of sysexits.h


class Caller(NamedTuple):
    """A process as it introduces itself."""

    number: int
    count: int
    pid: int
    host: str

    def __str__(self):
        return f"process {self.number} (pid {self.pid} on {self.host})"


def myself(number: int, count: int) -> Caller:
    """This process."""
    return Caller(number, count, os.getpid(), socket.gethostname())


class Line:
    """One connection: whole messages out, whole messages in. Sends of two threads never mix."""

    def __init__(self, connection: socket.socket):
        self.connection, self._rest, self._sending = connection, b"", threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # not on every system
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, **message) -> None:
        """Sends a message; to a line that is dead, nothing."""
        with self._sending, contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def greeting(self, seconds: float) -> tuple[str, object]:
        """The one message that comes first; ("lost", None) if none does within `seconds`.

        Whoever is at the other side may be a stranger, and say anything, at any length.
        """
        text, until = b"", time.monotonic() + seconds
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            while not text.endswith(b"\n") and len(text) < LONGEST:
                self.connection.settimeout(max(until - time.monotonic(), 0))
                if not (byte := self.connection.recv(1)):  # one: what follows is for `receive`
                    break
                text += byte
            self.connection.settimeout(None)
            (kind, value), = json.loads(text).items()
            return kind, value
        return "lost", None

    def receive(self) -> list[tuple[str, object]] | None:
        """The messages that came since; waits for some bytes. None: the other side is gone."""
        try:
            data = self.connection.recv(1 << 16)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [item for line in lines for item in json.loads(line).items()]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.close()


def answer(port: int, count: int, seconds: float, word: str) -> list[tuple[Caller, Line]]:
    """Process 0: the lines of all others in order, after each has been told `word`.

    Raises:
      Absent: who has not come after `seconds`.
      UserError: the port is taken; two have one number.
    """
    try:
        server = _server(port, count)
    except OSError as error:
        raise UserError(f"port {port}, where the other processes are to call, cannot be opened: "
                        f"{error.strerror}; choose another --coordinator=HOST:PORT") from None
    found: dict[int, tuple[Caller, Line]] = {}
    until = time.monotonic() + seconds
    with server:
        while len(found) < count - 1 and (left := until - time.monotonic()) > 0:
            server.settimeout(left)
            with contextlib.suppress(OSError):  # a time-out among them
                line = Line(server.accept()[0])
                kind, value = line.greeting(min(left, 5.0))
                if (caller := _caller(value) if kind == "hello" else None) is None:
                    line.close()  # somebody else's
                    continue
                if wrong := _mistake(caller, count, found):
                    _dismiss([line, *(other for _, other in found.values())], wrong)
                    raise UserError(wrong)
                found[caller.number] = caller, line
    if missing := sorted(set(range(1, count)) - set(found)):
        names = ", ".join(map(str, missing))
        wrong = (f"process{'es' * (len(missing) > 1)} {names} of {count} did not come within "
                 f"{seconds:g} s to port {port} of process 0; start them, or look at what they "
                 "printed")
        _dismiss([line for _, line in found.values()], wrong, Absent.status)
        raise Absent(wrong)
    for _, line in found.values():
        line.send(here=word)
    return [found[number] for number in sorted(found)]


def call(address: tuple[str, int], me: Caller, seconds: float) -> tuple[str, Line]:
    """Another process: the word of process 0 once all have come, and the line to it.

    Raises:
      Absent: process 0 could not be reached within `seconds`, or who else has not come.
      UserError: the numbers of the processes do not fit together.
    """
    until, place = time.monotonic() + seconds, f"{address[0]}:{address[1]}"
    while True:
        try:
            line = Line(socket.create_connection(address, max(until - time.monotonic(), 0.1)))
            break
        except OSError as error:
            if time.monotonic() + AGAIN >= until:
                raise Absent(
                    f"process {me.number} of {me.count} could not reach process 0 at {place} "
                    f"within {seconds:g} s ({error.strerror or error}); start process 0, or open "
                    "the port between the hosts") from None
            time.sleep(AGAIN)
    line.send(hello=me)
    kind, value = line.greeting(seconds + 10)  # process 0 may have come later than we did
    if kind == "here":
        return value, line
    if kind == "gone":
        reason, status = value
        raise (Absent if status == Absent.status else UserError)(reason)
    raise Absent(f"process 0 at {place} went away while the processes gathered")


def watch(lines: dict[int, Line], heard) -> threading.Thread:
    """A thread that hands every message to `heard(number, kind, value)`; kind "lost": it closed."""
    thread = threading.Thread(target=_watch, args=(lines, heard), daemon=True, name="switchboard")
    thread.start()
    return thread


def _watch(lines: dict[int, Line], heard) -> None:
    with selectors.DefaultSelector() as ready:
        for number, line in lines.items():
            ready.register(line.connection, selectors.EVENT_READ, (number, line))
        while ready.get_map():
            for key, _ in ready.select():
                number, line = key.data
                messages = line.receive()
                if messages is None:
                    ready.unregister(key.fileobj)
                    messages = [("lost", None)]
                for kind, value in messages:
                    heard(number, kind, value)


def _server(port: int, count: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("", port), family=socket.AF_INET6 if both else socket.AF_INET,
                                backlog=count, dualstack_ipv6=both)


def _caller(value) -> Caller | None:
    """Who says hello; None for a value that no process would send."""
    if isinstance(value, list) and [type(part) for part in value] == [int, int, int, str]:
        return Caller(*value)
    return None


def _mistake(caller: Caller, count: int, found: dict) -> str | None:
    if caller.count != count:
        return (f"{caller} was started as one of {caller.count} processes, process 0 as one of "
                f"{count}; give all of them the same --processes")
    if not 0 < caller.number < count or caller.number in found:
        other = found.get(caller.number, ("process 0",))[0]
        return f"{caller} has the number of {other}; give each process a --process of its own"
    return None


def _dismiss(lines: list[Line], reason: str, status: int = UserError.status) -> None:
    for line in lines:
        line.send(gone=[reason, status])
        line.close()
