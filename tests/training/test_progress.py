"""The progress line, on a terminal and in a file."""

import io

import pytest

from transformer.training.progress import Progress, duration, line


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def shown(terminal, steps=(1, 2, 3), seconds=4.0):
    stream, clock = io.StringIO(), Clock()
    stream.isatty = lambda: terminal
    progress = Progress(10, stream=stream, clock=clock)
    for step in steps:
        progress.show(step, 2.0, 1234.5)
        clock.now += seconds
    return progress, stream


def test_the_line():
    text = line(1200, 2000, 3.14159, 45678.9, 0.4123, 3725)
    assert text == "step 1,200/2,000  loss 3.1416  45,679 tokens/s  MFU 41.2 %  1h02m left"
    assert line(1, 2, float("nan"), None, None, None) == "step 1/2  loss nan"


def test_time_left_does_not_count_the_first_step():
    """The first show came after 100 s of compilation; three steps took 2 s each since."""
    stream, clock = io.StringIO(), Clock()
    progress = Progress(10, stream=stream, clock=clock)
    clock.now = 100
    progress.show(1, 2.0)
    assert "left" not in stream.getvalue()
    clock.now = 106 + 10
    progress.show(4, 2.0)
    assert stream.getvalue().endswith("32s left\n")


def test_a_terminal_shows_one_line():
    progress, stream = shown(True)
    assert stream.getvalue().count("\r") == 3 and "\n" not in stream.getvalue()
    progress.message("saved")
    assert stream.getvalue().split("\r\x1b[2K")[-1].startswith("saved\nstep 3/10")
    progress.close()
    assert stream.getvalue().endswith("\n")


def test_a_file_gets_a_line_every_ten_seconds_and_the_last():
    steps = range(1, 11)
    lines = shown(False, steps, seconds=3)[1].getvalue().splitlines()
    assert [text.split()[1] for text in lines] == ["1/10", "5/10", "9/10", "10/10"]
    assert not any("\r" in text or "\x1b" in text for text in lines)


def test_messages_in_a_file():
    progress, stream = shown(False, [1])
    progress.message("saved")
    progress.close()
    assert stream.getvalue().endswith("tokens/s\nsaved\n")


@pytest.mark.parametrize(("seconds", "text"), [
    (0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3599, "59m59s"), (7500, "2h05m"),
    (273600, "3d04h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
