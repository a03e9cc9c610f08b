"""How much a model computes, by arithmetic: the compiler counts a loop over depth only once."""

from __future__ import annotations

import math

import jax

from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.door import Model
from transformer.nn.head import Masked, Tied
from transformer.nn.model import EncoderDecoder
from transformer.ops.reach import Causal


def train_flops(model: Model, length: int, source: int = 0, slots: int | None = None) -> float:
    """FLOPs of one training row: three times the forward pass, recomputation not counted.

    Matmuls only, two FLOPs a multiply-add. Causal attention counts half of its square. Lookups,
    norms and softmax count nothing (the rules of nanoGPT and of PaLM App. B, but for the half).

    Args:
      length: T, tokens of the row. source: S, tokens of the encoder's row, if there is one.
      slots: N, positions the vocabulary projection sees; all of them if None.
    """
    slots = length if slots is None else slots
    return 3 * (_weights(model, length, source, slots) + _attention(model.spec, length, source))


def _weights(model, length, source, slots) -> float:
    spec, total = model.spec, 0.0
    for path, leaf in jax.tree_util.tree_leaves_with_path(model.shapes()):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        last = name.rsplit("/", 1)[-1]
        if name.startswith("embedding/") or last.endswith("bias") or last in ("scale", "shift"):
            continue
        from_source = name.startswith("encoder/") or "cross/key" in name or "cross/value" in name
        tokens = source if from_source else length
        if name.startswith("heads_mlm"):
            tokens = slots
        elif name.startswith(("pooler", "heads_nsp", "heads_classes", "heads_score")):
            tokens = 1
        total += 2 * math.prod(leaf.shape) * tokens
    table = spec.embedding.vocab * spec.embedding.width
    tied = {Tied: length, Masked: slots}
    return total + sum(2 * table * tied.get(type(head), 0) for _, head in spec.heads)


def _attention(spec, length, source) -> float:
    if isinstance(spec, EncoderDecoder):
        stacks = [(spec.encoder, source), (spec.decoder, length)]
    else:
        stacks = [(spec.stack, length)]
    total = 0.0
    for stack, tokens in stacks:
        for segment in stack.segments:
            for block in segment.pattern:
                for _, layer in block.sublayers:
                    total += segment.repeats * _scores(layer, spec.embedding.width, tokens, source)
    return total


def _scores(layer, width, tokens, source) -> float:
    """Queries times keys and probabilities times values of one sublayer."""
    if not isinstance(layer, (Attention, CrossAttention)):
        return 0.0
    H, _, K = layer.sizes(width)
    if isinstance(layer, CrossAttention):
        return 4.0 * tokens * source * H * K
    return 4.0 * tokens * tokens * H * K * (0.5 if isinstance(layer.reach, Causal) else 1.0)
