"""Bytes that a program moves: fusions, slices, loops, memory on the die; counted by hand."""

import pytest

from transformer.scaling.traffic import moved

PROGRAM = """HloModule step

%nested (a: f32[10,100], i: s32[]) -> f32[1,100] {
  %a = f32[10,100]{1,0} parameter(0)
  %i = s32[] parameter(1)
  ROOT %one = f32[1,100]{1,0} dynamic-slice(%a, %i), dynamic_slice_sizes={1,100}
}

%sliced (w: f32[10,100], j: s32[], x: f32[1,100]) -> f32[1,100] {
  %w = f32[10,100]{1,0} parameter(0)
  %j = s32[] parameter(1)
  %x = f32[1,100]{1,0} parameter(2)
  %layer = f32[1,100]{1,0} fusion(%w, %j), kind=kLoop, calls=%nested
  ROOT %sum = f32[1,100]{1,0} add(%layer, %x)
}

%kept (stack: f32[10,100], k: s32[], y: f32[1,100]) -> f32[10,100] {
  %stack = f32[10,100]{1,0} parameter(0)
  %k = s32[] parameter(1)
  %y = f32[1,100]{1,0} parameter(2)
  ROOT %put = f32[10,100]{1,0} dynamic-update-slice(%stack, %y, %k)
}

%turn (t: (s32[], f32[1,100], f32[10,100], f32[10,100])) -> (s32[]) {
  %t = (s32[], f32[1,100]{1,0}, f32[10,100]{1,0}, f32[10,100]{1,0}) parameter(0)
  %n = s32[] get-tuple-element(%t), index=0
  %h = f32[1,100]{1,0} get-tuple-element(%t), index=1
  %weights = f32[10,100]{1,0} get-tuple-element(%t), index=2
  %saved = f32[10,100]{1,0} get-tuple-element(%t), index=3
  %next = f32[1,100]{1,0:S(1)} fusion(%weights, %n, %h), kind=kLoop, calls=%sliced
  %stacked = f32[10,100]{1,0} fusion(%saved, %n, %next), kind=kLoop, calls=%kept
  ROOT %out = (s32[]) tuple(%n)
}

%more (u: (s32[])) -> pred[] {
  %u = (s32[]) parameter(0)
  %limit = s32[] constant(10)
  ROOT %less = pred[] compare(%u, %limit), direction=LT
}

ENTRY %main (p: f32[10,100]) -> f32[10,100] {
  %p = f32[10,100]{1,0} parameter(0)
  %q = f32[10,100]{1,0} copy(%p)
  %start = (f32[10,100]{1,0:S(1)}, f32[10,100]{1,0}, u32[]) copy-start(%q)
  %done = f32[10,100]{1,0:S(1)} copy-done(%start)
  %loop = (s32[]) while(%q), condition=%more, body=%turn
  ROOT %view = f32[1000]{0} bitcast(%q)
}
"""


def test_by_hand():
    """A copy reads and writes 4,000 bytes; one to the die reads them. A turn of the loop reads 400
    of the weights, 4 of the index and 400 of x, writes to the die; then reads 4 and writes 400."""
    turn = (400 + 4 + 400) + (4 + 400)
    assert moved(PROGRAM) == 8000 + 4000 + 10 * turn


@pytest.mark.parametrize("old, new, more", [
    ("S(1)} fusion", "} fusion", 10 * 800),  # written to HBM, read again by the next fusion
    ("dynamic-slice(%a, %i)", "add(%a, %i)", 10 * 3600),  # the whole stack is read each turn
])
def test_what_it_looks_at(old, new, more):
    assert moved(PROGRAM.replace(old, new)) == moved(PROGRAM) + more
