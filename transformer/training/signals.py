"""SIGTERM and SIGINT: the first asks the run to save and end, the second ends it at once.

A Python handler only runs between two steps of the interpreter, which a long compilation or a
device call does not offer. So the signal's number also goes through a pipe to a thread, which can
end the process whatever the main thread does. Each side counts for itself: an event loop in the
main thread may hold the pipe's place for a while, and then only the handler hears of the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """`with Stop() as stop:` in the main thread; the loop asks `stop.asked` after every step.

    `asked` is None or the signal; `code` is then the exit status 128 + its number (143, 130).
    Inside `with stop.at_once():` nothing is worth saving (set-up, compilation, evaluation of a
    finished run) and the first signal already ends the process with that status.
    """

    def __init__(self):
        self.asked: signal.Signals | None = None
        self._nothing_to_save = 0
        self._arrived = 0  # signals that came through the pipe
        self._said = False

    @property
    def code(self) -> int:
        """Exit status for a run that ended as asked; 0 when nothing was asked."""
        return 128 + self.asked if self.asked else 0

    def poll(self) -> signal.Signals | None:
        """`asked`. Several processes have to ask each other: `agreement.Agreed` has the same doors.
        """
        return self.asked

    def placing(self, place):
        """`place` as it is: a step of one process need not tell what it was asked."""
        return place

    def asking(self, step):
        """`step` as it is."""
        return step

    def __enter__(self) -> Stop:
        self._read, self._written = os.pipe()
        os.set_blocking(self._written, False)
        self._before = {s: signal.signal(s, self._handle) for s in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="signals")
        self._thread.start()
        return self

    def __exit__(self, *_):
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._written)
        self._thread.join()
        os.close(self._read)

    @contextlib.contextmanager
    def at_once(self):
        """A stretch in which a signal ends the process at once, even one that came before it."""
        self._nothing_to_save += 1
        if self.asked:
            os._exit(self.code)
        try:
            yield
        finally:
            self._nothing_to_save -= 1

    def _watch(self) -> None:
        while data := os.read(self._read, 1):
            if data[0] in SIGNALS:
                self._arrived += 1
                self._act(signal.Signals(data[0]), again=self._arrived > 1)

    def _handle(self, number: int, _frame) -> None:
        again, self.asked = self.asked is not None, signal.Signals(number)
        self._act(self.asked, again)

    def _act(self, number: signal.Signals, again: bool) -> None:
        if again or self._nothing_to_save:
            _say(f"{number.name}: ended at once")
            os._exit(128 + number)
        if not self._said:
            self._said = True
            _say(f"{number.name}: saving, then ending; a second signal ends the run at once")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
