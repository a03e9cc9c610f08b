"""Which part of a model a path belongs to: of a parameter, or the name that XLA keeps of an
operation, such as `jit(train_step)/transpose(jvp(DecoderModule))/stack/.../0_attention/...`."""

from __future__ import annotations

import re

ATTENTION, CROSS, FEEDFORWARD = "attention", "cross-attention", "feed-forward"
NORMS, EMBEDDING, HEAD, OPTIMIZER = "norms", "embedding", "head and loss", "optimizer"
LOOP, RECURRENT, UNNAMED = "residual and loop", "recurrent layers", "unnamed"
# The order of a table; sublayers of other names come after the feed-forward.
ORDER = (EMBEDDING, ATTENTION, CROSS, FEEDFORWARD, RECURRENT, NORMS, LOOP, HEAD, OPTIMIZER, UNNAMED)
_SUBLAYERS = {"attention": ATTENTION, "cross": CROSS, "feedforward": FEEDFORWARD}
# The first rule with a word of the path decides: the head reads the embedding's table, norms lie
# in blocks, and the loss is around all of them.
_RULES = (
    (r"optimizer|state\[.{0,2}opt.*", OPTIMIZER),  # its state is named by the step's argument
    (r"heads_\w+|pooler|readout", HEAD),
    (r"(source_)?embedding", EMBEDDING),
    (r"(\w+_)?norm", NORMS),
    (r"bias|align", ATTENTION),
    (r"layer_\d+\w*|start", RECURRENT),
    (r"stack|encoder|decoder|Period", LOOP),
    (r"loss", HEAD),
)


def part_of(path: str) -> str:
    """One of ORDER, or the name of a sublayer that is none of them."""
    words = re.split(r"[/().]", path)
    for rule, part in _RULES[:4]:
        if any(re.fullmatch(rule, word) for word in words):
            return part
    for word in words:
        if found := re.fullmatch(r"\d+_(\w+)", word):
            return _SUBLAYERS.get(found[1], found[1])
    for rule, part in _RULES[4:]:
        if any(re.fullmatch(rule, word) for word in words):
            return part
    return UNNAMED


def backward(path: str) -> bool:
    """Whether an operation belongs to the backward pass, what it computes again included."""
    return "transpose(" in path
