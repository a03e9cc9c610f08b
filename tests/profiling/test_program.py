"""Operations find their part of the model: in a program by hand, and in names that XLA keeps."""

import pytest

from transformer.profiling import part
from transformer.profiling.attribution import COLLECTIVE
from transformer.profiling.part import backward, part_of
from transformer.profiling.program import Instruction, instructions, kind_of
from transformer.profiling.trace import labelled, operation

DOT = "jit(f)/jvp(loss)/stack/0_attention/dot"
LAYER = "jit(train_step)/transpose(jvp(loss))/DecoderModule/stack/stack.segment/while/body"
PROGRAM = f"""
HloModule jit_train_step, is_scheduled=true

%fused (p.1: f32[4]) -> f32[4] {{
  %p.1 = f32[4]{{0}} parameter(0)
  %tanh.1 = f32[4]{{0}} tanh(%p.1), metadata={{op_name="{LAYER}/Period/0_feedforward/tanh"}}
  ROOT %neg.1 = f32[4]{{0}} negate(%tanh.1)
}}

ENTRY %main (a.1: f32[4], b.1: (f32[4], s32[])) -> f32[4] {{
  %a.1 = f32[4]{{0}} parameter(0), metadata={{op_name="batch[\\'tokens\\']"}}
  %dot.1 = f32[4]{{0}} dot(%a.1, %a.1), metadata={{op_name="{DOT}"}}
  %fusion.1 = f32[4]{{0}} fusion(%dot.1), kind=kLoop, calls=%fused
  %copy.1 = f32[4]{{0}} copy(%dot.1)
  %zeros.1 = f32[4]{{0}} broadcast()
  %while.1 = (f32[4]{{0:T(8,128)}}, s32[]) while(%zeros.1), metadata={{op_name="{LAYER}"}}
  %all-reduce-start.1 = f32[4]{{0}} all-reduce-start(%dot.1)
  ROOT %add.1 = f32[4]{{0}} add(%dot.1, %copy.1), metadata={{op_name="jit(f)/optimizer/add"}}
}}
"""


def test_instructions_of_a_program():
    found = instructions(PROGRAM)
    assert found["dot.1"] == Instruction(part.ATTENTION, False, "compute")
    assert found["fusion.1"] == Instruction(part.FEEDFORWARD, True, "compute")  # by what it calls
    assert found["copy.1"].part == part.ATTENTION  # by what it reads
    assert found["zeros.1"] == Instruction(part.LOOP, True, "compute")  # by what reads it
    assert found["while.1"] == Instruction(part.LOOP, True, "loop")
    assert found["all-reduce-start.1"].kind == "collective"
    assert found["add.1"].part == part.OPTIMIZER


@pytest.mark.parametrize("path,expected", [
    ("heads_logits/embedding.logits/dot_general", part.HEAD),
    ("embedding/gather", part.EMBEDDING),
    ("stack/final_norm/mul", part.NORMS),
    ("0_attention_norm/rsqrt", part.NORMS),
    ("stack/segment_0/0_attention/query", part.ATTENTION),
    ("stack/segment_0/0_attention/query_norm/scale", part.NORMS),
    ("decoder/segment_0/0_cross/key", part.CROSS),
    ("stack/segment_0/1_feedforward.project/dot_general", part.FEEDFORWARD),
    ("stack/segment_0/0_mixing/dot_general", "mixing"),
    ("stack/stack.segment/while/body/dynamic_slice", part.LOOP),
    ("encoder/bias/table", part.ATTENTION),
    ("take_along_axis/gather", part.HEAD),
])
def test_parts(path, expected):
    assert part_of(f"jit(train_step)/jvp(loss)/DecoderModule/{path}") == expected
    assert backward(f"jit(f)/transpose(jvp(loss))/{path}") and not backward(path)


def test_what_the_step_does_outside_the_model():
    assert part_of("jit(train_step)/optimizer/sqrt") == part.OPTIMIZER
    assert part_of("state[\\'opt\\'][\\'rule\\'][0].mu") == part.OPTIMIZER
    assert part_of("jit(train_step)/eq") == part_of("") == part.UNNAMED


@pytest.mark.parametrize("plane,line,event,stats,expected", [
    ("/host:CPU", "tf_XLAEigen/7", "dot.4", {"hlo_op": "dot.4", "device_ordinal": "0"}, "dot.4"),
    ("/host:CPU", "tf_XLAEigen/7", "dot.4", {"hlo_op": "dot.4", "device_ordinal": 3}, None),
    ("/host:CPU", "tf_XLAEigen/7", "ThunkExecutor::Execute", {}, None),
    ("/device:GPU:0", "Stream #14", "gemm_sm90", {"hlo_op": "custom-call.2"}, "custom-call.2"),
    ("/device:GPU:0", "Stream #17", "MemcpyH2D", {}, "MemcpyH2D"),
    ("/device:GPU:1", "Stream #14", "gemm_sm90", {"hlo_op": "custom-call.2"}, None),
    ("/device:TPU:0", "XLA Ops", "%fusion.7 = bf16[8] fusion(%p)", {}, "fusion.7"),
    ("/device:TPU:0", "Steps", "3", {}, None),
])
def test_events_of_every_device(plane, line, event, stats, expected):
    assert operation(plane, line, event, stats) == expected


def test_a_collective_is_no_part_of_the_model():
    """Whatever it was inserted for: what it costs depends on the mesh."""
    program = instructions(PROGRAM)
    assert labelled(0, 5, "all-reduce-start.1", program) == (0, 5, COLLECTIVE, "collective")
    assert labelled(0, 5, "dot.1", program) == (0, 5, (part.ATTENTION, False), "compute")
    assert labelled(0, 5, "elsewhere.3", program).label == (part.UNNAMED, False)


def test_kinds_of_events_that_no_instruction_names():
    assert kind_of("ncclDevKernel_AllReduce_Sum_bf16_RING_LL") == "collective"
    assert kind_of("all_gather.3") == "collective" and kind_of("MemcpyH2D") == "compute"
