"""The lines between processes, with threads in the place of processes."""

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from processes import free_port

from transformer.error import UserError, guarded
from transformer.training import hosts as module
from transformer.training import manifest
from transformer.training.checkpoint import Checkpoints
from transformer.training.hosts import FAULT, GONE, ORPHANED, Alone, Hosts
from transformer.training.switchboard import Absent, Caller, Line, answer, call, myself


def gathered(count, seconds=10.0, calling=None):
    """What `answer` and every `call` gave, errors included, process 0 first."""
    port = free_port()

    def one(number):
        me = Caller(number, count, 100 + number, "here")
        try:
            return call(("localhost", port), me, seconds)
        except UserError as error:
            return error

    def first():
        try:
            return answer(port, count, seconds, "welcome")
        except UserError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        numbers = range(1, count) if calling is None else calling
        others = [pool.submit(one, number) for number in numbers]
        return [pool.submit(first).result(), *(other.result() for other in others)]


@pytest.fixture
def together(monkeypatch):
    """together(n) -> Hosts of n processes, and the (message, status) with which they would end."""
    ends, made = [], []
    monkeypatch.setattr(module, "leave", lambda message, status: ends.append((message, status)))

    def together(count):
        lines, *others = gathered(count)
        made.append(Hosts(myself(0, count), {who.number: (who, line) for who, line in lines}))
        for number, (_, line) in enumerate(others, 1):
            made.append(Hosts(myself(number, count), {0: (myself(0, count), line)}))
        return made, ends

    yield together
    for hosts in made:  # nothing may end this very process once `leave` is itself again
        hosts._left.update(range(len(made)))
        hosts._end = lambda *_: None
        with hosts._ending:
            pass
    for hosts in made:
        for line in hosts._lines.values():
            line.close()


def on_all(hosts, task):
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(task, hosts))


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_all_come_in_any_order():
    lines, *words = gathered(4, calling=(3, 1, 2))
    assert [who.number for who, _ in lines] == [1, 2, 3]
    assert [word for word, _ in words] == ["welcome"] * 3


def test_who_is_missing_is_named_to_all_that_came():
    told = gathered(5, seconds=1.0, calling=(1, 3))
    assert str(told[0]).startswith("processes 2, 4 of 5 did not come within 1 s")
    assert [str(one) for one in told] == [str(told[0])] * 3
    assert [one.status for one in told] == [69] * 3  # of which a launcher starts again


def test_without_process_0_the_others_say_so():
    began = time.monotonic()
    with pytest.raises(Absent, match="process 2 of 3 could not reach process 0 at localhost"):
        call(("localhost", free_port()), myself(2, 3), 0.5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number,count,why", [
    (1, 3, "one of 3 processes, process 0 as one of 2"), (0, 2, "has the number of process 0"),
    (7, 2, "has the number of")])
def test_wrong_numbers_are_refused(number, count, why):
    port = free_port()
    with ThreadPoolExecutor() as pool:
        other = pool.submit(call, ("localhost", port), myself(number, count), 5.0)
        with pytest.raises(UserError, match=why):
            answer(port, 2, 5.0, "")
        with pytest.raises(UserError, match=why) as told:
            other.result()
        assert told.value.status == 2  # a new start is no cure


STRANGE = [b"GET / HTTP/1.1\r\n\r\n", b'{"hello": 1}\n', b'{"hello": [1, 2, "x", "here"]}\n',
           b'{"hello": {"number": 1}}\n', b"[1]\n", b"[" * 60_000 + b"\n", b"x" * 70_000, b"\xff\n"]


@pytest.mark.parametrize("said", STRANGE, ids=range(len(STRANGE)))
def test_a_stranger_at_the_port_is_no_process(said):
    port = free_port()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(answer, port, 2, 10.0, "welcome")
        time.sleep(0.2)
        with socket.create_connection(("localhost", port)) as stranger:
            stranger.sendall(said)
            word, _ = call(("localhost", port), myself(1, 2), 10.0)
        assert word == "welcome" and first.result()[0][0].number == 1


@pytest.mark.parametrize("pause,seconds", [(0.05, 0.3), (0.0, 60.0)])
def test_a_greeting_that_does_not_end_is_no_greeting(pause, seconds):
    """A byte now and then must not renew the time; without a pause the length has a limit."""
    ours, theirs = socket.socketpair()
    line, began = Line.__new__(Line), time.monotonic()
    line.connection = ours

    def drip():
        with theirs, contextlib.suppress(OSError):
            while time.monotonic() - began < 10:
                theirs.sendall(b"x" if pause else b"x" * 1000)
                time.sleep(pause)

    with ThreadPoolExecutor() as pool, ours:
        pool.submit(drip)
        assert line.greeting(seconds) == ("lost", None)
        assert time.monotonic() - began < 8


def test_a_taken_port_is_named():
    with socket.create_server(("", 0)) as taken, pytest.raises(UserError, match="another"):
        answer(taken.getsockname()[1], 2, 1.0, "")


def test_gather_tell_agree(together):
    hosts, _ = together(3)
    assert on_all(hosts, lambda h: h.gather({"n": [h.number, 0.1]})) == [
        [{"n": [n, 0.1]} for n in range(3)], None, None]
    assert on_all(hosts, lambda h: h.once(lambda: "x" * 300_000)) == ["x" * 300_000] * 3
    assert on_all(hosts, lambda h: h.agree([0, 15, 2][h.number])) == [15] * 3
    assert on_all(hosts, lambda h: h.once(lambda: [h.number])) == [[0]] * 3
    alone = Alone()
    assert (alone.gather(7), alone.tell(7), alone.agree(7), alone.once(lambda: 7)) == ([7], 7, 7, 7)


def test_the_first_runs_before_the_others(together):
    hosts, _ = together(3)
    order = []

    def body(h):
        with h.first_before_others():
            time.sleep(0.2 * h.first)
            order.append(h.number)

    on_all(hosts, body)
    assert order[0] == 0 and sorted(order) == [0, 1, 2]


def test_what_differs_is_refused(together):
    hosts, _ = together(3)

    def other(h):
        try:
            h.require_same("data", "b" if h.number == 2 else "a")
        except UserError as error:
            return str(error)

    told = on_all(hosts, other)
    assert told[:2] == [None, None] and told[2].startswith("process 2 has data other than")


def test_a_directory_that_is_not_shared_is_refused(together, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEEN", 0.3)
    hosts, _ = together(3)
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "lock").write_text("held by 1")

    def look(h):
        try:
            h.require_shared(tmp_path / ("b" if h.number == 1 else "a"))
        except UserError as error:
            return str(error)

    told = on_all(hosts, look)
    assert told[0] is told[2] is None
    assert "is not the directory of process 0" in told[1] and "process 1" in told[1]


def test_the_death_of_one_is_told_by_all(together):
    hosts, ends = together(3)
    hosts[2]._lines[0].connection.shutdown(socket.SHUT_RDWR)
    until(lambda: len([end for end in ends if end[1] == GONE]) >= 2)
    assert {message for message, status in ends if status == GONE} == {
        "process 2 (pid 102 on here): it is gone; start the run again"}


def test_the_death_of_the_first_ends_the_others(together):
    hosts, ends = together(3)
    hosts[0]._left.update((1, 2))  # the dead see nothing
    for line in hosts[0]._lines.values():
        line.connection.shutdown(socket.SHUT_RDWR)
    until(lambda: len(ends) == 2)
    line = f"{hosts[0].me}, the coordinator: it is gone; start the run again"
    assert ends == [(line, ORPHANED)] * 2


def test_a_mistake_of_one_ends_all_with_its_line(together):
    hosts, ends = together(3)
    hosts[1]._all(end=["error: no room", 2])
    until(lambda: len(ends) >= 3)
    assert ("error: no room (process 1 (pid 101 on here))", 2) in ends  # process 0 tells
    assert ends.count(("", 2)) == 2  # the others keep silent


def test_who_is_done_is_not_dead(together):
    hosts, ends = together(2)
    for one in hosts:
        one._all(bye=0)
    until(lambda: hosts[0]._left == {1} and hosts[1]._left == {0})
    hosts[1]._lines[0].connection.shutdown(socket.SHUT_RDWR)
    time.sleep(0.3)
    assert not ends


def test_no_process_enters_a_save_while_the_first_hashes_the_one_before(together, tmp_path,
                                                                        monkeypatch):
    """Orbax has barriers with a time limit, and hashing takes as long as it takes."""
    hosts, _ = together(2)
    entered, hashed, all_began = [], threading.Event(), threading.Barrier(2)
    monkeypatch.setattr(manifest, "write", lambda *_: hashed.wait(20))

    def save_twice(h):
        checkpoints = Checkpoints(tmp_path, hosts=h)
        checkpoints._writer.close()
        checkpoints._writer = SimpleNamespace(
            save=lambda path, args: entered.append((h.number, path.parent.name)),
            wait_until_finished=lambda: None)
        for step in (1, 2):
            checkpoints.save(step, {"w": jnp.zeros(1)})
            if step == 1:
                all_began.wait(20)
        checkpoints.wait()

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(save_twice, h) for h in hosts]
        until(lambda: len(entered) >= 2)
        time.sleep(0.5)
        waited = sorted(entered)
        hashed.set()
        for one in done:
            one.result(20)
    assert waited == [(0, "00000001.tmp"), (1, "00000001.tmp")]
    assert sorted(entered)[1::2] == [(0, "00000002.tmp"), (1, "00000002.tmp")]


@pytest.mark.parametrize("said,status,waits", [
    ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.", 2, False),
    ("RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem.", FAULT, False),
    ("INVALID_ARGUMENT: Buffer passed to Execute() has been deleted", FAULT, False),
    ("UNKNOWN: Gloo all-reduce failed: Connection closed by peer", GONE, True)])
def test_what_the_devices_report(together, monkeypatch, capsys, said, status, waits):
    (alone,), ends = together(1)
    slept = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=slept.append,
                                                        monotonic=time.monotonic))
    error = jax.errors.JaxRuntimeError(said)
    alone.__exit__(type(error), error, None)
    assert [end[1] for end in ends] == [status] and (module.VERDICT in slept) is waits
    if status == 2:
        assert capsys.readouterr().err == "" and all(
            word in ends[0][0] for word in ("9 bytes", "--accumulate", "--run.remat", "plan"))


def test_one_process_without_memory_has_a_line(capsys):
    def run(_):
        jnp.zeros(1 << 58, jnp.int8).block_until_ready()

    assert guarded(run, []) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: the memory of a device does not suffice (RESOURCE_EXHAUSTED")
    assert told.count("\n") == 1
