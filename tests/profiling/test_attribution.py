"""Every instant of a hand-made stretch goes to one label, and they add up to all of it."""

import random

import pytest

from transformer.profiling.attribution import (
    COLLECTIVE,
    DATA,
    HOST,
    OTHER,
    Op,
    Span,
    attribute,
    communicating,
)


def test_what_is_hidden_costs_nothing():
    ops = [Op(0, 40, "attention"), Op(30, 60, COLLECTIVE, "collective"), Op(60, 70, "norms")]
    spans = [Span(0, 65, DATA), Span(65, 80, HOST), Span(75, 90, DATA)]
    # the data is late from 75 on, for the device is idle then; until 65 nobody felt it
    assert attribute(ops, spans, 0, 100) == {
        "attention": 40, COLLECTIVE: 20, "norms": 10, HOST: 5, DATA: 15, OTHER: 10}
    assert communicating(ops, 0, 100) == 30


def test_what_runs_together_shares_the_time():
    ops = [Op(0, 10, "a"), Op(0, 10, "a"), Op(4, 10, "b")]
    assert attribute(ops, [], 0, 10) == {"a": 4 + 6 * 2 / 3, "b": 6 / 3}


def test_a_loop_counts_where_nothing_inside_it_runs():
    ops = [Op(0, 100, "loop", "loop"), Op(10, 40, "a"), Op(50, 60, COLLECTIVE, "collective")]
    assert attribute(ops, [], 0, 100) == {"loop": 60, "a": 30, COLLECTIVE: 10}


def test_what_lies_outside_is_cut_off():
    ops, spans = [Op(-5, 5, "a"), Op(95, 200, "b"), Op(300, 400, "c")], [Span(-9, 10, HOST)]
    assert attribute(ops, spans, 0, 100) == {"a": 5, HOST: 5, OTHER: 85, "b": 5}


@pytest.mark.parametrize("seed", range(3))
def test_labels_add_up(seed):
    draw = random.Random(seed)
    ops = [Op(start, start + draw.uniform(0, 20), draw.choice("abc"),
              draw.choice(("compute", "collective", "loop")))
           for start in (draw.uniform(-10, 110) for _ in range(40))]
    spans = [Span(start, start + 7, draw.choice((DATA, HOST))) for start in range(0, 100, 9)]
    assert sum(attribute(ops, spans, 0, 100).values()) == pytest.approx(100)
