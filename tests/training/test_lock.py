"""Two runs in one directory: the second is refused; the lock of a dead process is taken over."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from transformer.error import UserError
from transformer.training import lock as module
from transformer.training.lock import Lock

HOLD = """
import sys
from transformer.training.lock import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_with_pid_and_host(tmp_path, holder):
    with pytest.raises(UserError) as error, Lock(tmp_path):
        pass
    text = str(error.value)
    assert f"process {holder.pid} on {socket.gethostname()}" in text and "--workdir" in text
    assert "\n" not in text
    with pytest.raises(UserError, match=str(holder.pid)), Lock(tmp_path):
        pass  # the refusal has not freed it


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Lock(tmp_path) as lock:
        assert lock.previous["pid"] == holder.pid
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_a_clean_end_leaves_no_name(tmp_path, holder):
    holder.communicate("")
    assert (tmp_path / "lock").read_text() == ""
    with Lock(tmp_path) as lock:
        assert lock.previous is None
    with Lock(tmp_path) as lock:
        assert lock.previous is None


def test_a_lock_is_waited_for(tmp_path, holder, monkeypatch, capsys):
    """As that of a machine that vanished, which the file server frees later."""
    monkeypatch.setattr(module, "AGAIN", 0.05)
    threading.Timer(0.4, holder.send_signal, [signal.SIGKILL]).start()
    with Lock(tmp_path, patience=20.0) as lock:
        assert lock.previous["pid"] == holder.pid
    assert capsys.readouterr().out.count("is in use; waiting 20 s") == 1


def test_waiting_for_a_lock_has_an_end(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(module, "AGAIN", 0.05)
    began = time.monotonic()
    with pytest.raises(UserError, match=str(holder.pid)), Lock(tmp_path, patience=0.3):
        pass
    assert 0.3 <= time.monotonic() - began < 10


@pytest.mark.parametrize("text", ["not json", '{"pid": 1}', "[1]", "\x00" * 50])
def test_a_lock_file_that_nobody_holds_may_say_anything(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    with Lock(tmp_path) as lock:
        assert lock.previous is None
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_a_holder_that_has_not_written_its_name_yet(tmp_path, holder):
    (tmp_path / "lock").write_text("")
    with pytest.raises(UserError, match="another run"), Lock(tmp_path):
        pass


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --workdir"), Lock(tmp_path / "file"):
        pass
