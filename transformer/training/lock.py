"""One run in one directory: a lock that the operating system frees when its process dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from transformer.error import UserError

AGAIN = 1.0  # seconds between two looks at a lock that is held


class Lock:
    """`with Lock(directory):` holds DIR/lock, or raises UserError naming who holds it.

    The file stays behind, empty after a clean end: removing it would let two runs lock two files
    of one name. `previous` tells of a holder that ended without releasing it, else it is None.

    A lock that is held is waited for, `patience` seconds: that of a machine that vanished is free
    only once the file server has given it up.
    """

    def __init__(self, directory: Path, patience: float = 0.0):
        self.path, self.patience = Path(directory) / "lock", patience
        self.previous: dict | None = None
        self._file: int | None = None

    def __enter__(self) -> Lock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --workdir") from None
        try:
            self._acquire()
        except OSError as error:
            holder = self._read()
            self._close()
            raise self._refusal(holder, error) from None
        self.previous = self._read()
        self._write({"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()})
        return self

    def __exit__(self, *_):
        os.ftruncate(self._file, 0)
        self._close()

    def _acquire(self) -> None:
        until, told = time.monotonic() + self.patience, False
        while True:
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if (left := until - time.monotonic()) <= 0:
                    raise
            if not told:
                print(f"{self.path.parent} is in use; waiting {self.patience:g} s for it to be "
                      "free, as it becomes after the death of a machine", flush=True)
            told = True
            time.sleep(min(AGAIN, left))

    def _refusal(self, holder: dict | None, error: OSError) -> UserError:
        if not isinstance(error, BlockingIOError):
            return UserError(f"{self.path}: cannot be locked: {error.strerror}; choose a --workdir "
                             "on a file system that has locks")
        if holder is None:  # the holder is between locking and writing its name
            return UserError(f"{self.path.parent} is in use by another run; stop it or choose "
                             "another --workdir")
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["started"]))
        return UserError(f"{self.path.parent} is in use by process {holder['pid']} on "
                         f"{holder['host']} since {since}; stop it or choose another --workdir")

    def _read(self) -> dict | None:
        try:
            holder = json.loads(os.pread(self._file, 4096, 0))
            return {key: holder[key] for key in ("pid", "host", "started")}
        except (ValueError, KeyError, TypeError):
            return None

    def _write(self, holder: dict) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(holder).encode(), 0)
        os.fsync(self._file)

    def _close(self) -> None:
        os.close(self._file)
        self._file = None
