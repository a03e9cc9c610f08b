"""SIGTERM and SIGINT in a process of their own."""

import signal
import subprocess
import sys
import time

import pytest

BEGIN = """
import sys, time, hashlib, threading
from transformer.training.signals import Stop
busy = lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # in C, with no step in between
with Stop() as stop:
"""
LOOP = BEGIN + """
    print("ready", flush=True)
    while not stop.asked:
        time.sleep(0.01)
    print("saved", stop.asked.name, flush=True)
sys.exit(stop.code)
"""
STUCK = BEGIN + """
    print("ready", flush=True)
    busy()
"""
SETUP = BEGIN + """
    with stop.at_once():
        print("ready", flush=True)
        busy()
"""
AFTERWARDS = BEGIN + """
    with stop.at_once():
        pass
    print("ready", flush=True)
    while not stop.asked:
        time.sleep(0.01)
    with stop.at_once():
        time.sleep(60)
"""
OUTSIDE = BEGIN + """
    pass
print("ready", flush=True)
time.sleep(60)
"""


def run(code, *signals, between=0.2):
    """(exit status, stdout, stderr) of a process that gets the signals; at most 5 s after them."""
    process = subprocess.Popen([sys.executable, "-c", code], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            time.sleep(between)
            process.send_signal(number)
        out, err = process.communicate(timeout=5)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_the_run_save(number):
    status, out, err = run(LOOP, number)
    assert (status, out) == (128 + number, f"saved {number.name}\n")
    assert err.count("saving, then ending") == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_ends_at_once_even_where_python_does_not_run(second):
    status, out, err = run(STUCK, signal.SIGTERM, second)
    assert (status, out) == (128 + second, "") and "ended at once" in err


def test_the_first_ends_at_once_where_nothing_is_to_be_saved():
    status, _, err = run(SETUP, signal.SIGTERM)
    assert status == 143 and "ended at once" in err


def test_a_stretch_with_nothing_to_save_ends_for_an_earlier_signal():
    assert run(AFTERWARDS, signal.SIGTERM)[0] == 143


def test_outside_the_signals_act_as_before():
    assert run(OUTSIDE, signal.SIGTERM)[0] == -signal.SIGTERM
