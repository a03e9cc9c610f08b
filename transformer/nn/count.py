"""How much a model computes, by arithmetic: the compiler counts a loop over depth only once."""

from __future__ import annotations

import math
import re

import jax

from transformer.nn.alignment import Additive
from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.boundary import Boundary
from transformer.nn.door import Model
from transformer.nn.head import Masked, Tied
from transformer.nn.model import EncoderDecoder, Pair
from transformer.nn.recurrent import RecurrentEncoderDecoder

# Parameters that no activation is multiplied with: looked up, added, or scaling element by element;
# and the scores' vector of additive attention, which is multiplied with every pair of positions.
_CHEAP = re.compile(r"embedding/(tokens|types|positions)$|bias$|bias/table$|/(scale|shift)$|"
                    r"align/score$")


def train_flops(model: Model, length: int, source: int = 0, slots: int | None = None) -> float:
    """FLOPs of one training row: three times the forward pass, recomputation not counted.

    Matmuls only, two FLOPs a multiply-add. Causal attention counts half of its square. Lookups,
    norms and softmax count nothing (the rules of nanoGPT and of PaLM App. B, but for the half).

    Args:
      length: T, tokens of the row. source: S, tokens of the encoder's row, if there is one.
      slots: N, positions the vocabulary projection sees; all of them if None.
    """
    return sum(flops for _, flops in costs(model, length, source, slots))


def costs(model: Model, length: int, source: int = 0, slots: int | None = None):
    """(path, FLOPs) of each part of `train_flops`: a parameter, or the sublayer or head of a
    product that has none of its own. Arguments as there."""
    slots, spec, shapes = length if slots is None else slots, model.spec, model.shapes()
    parts = [("", spec, shapes)]
    if isinstance(spec, Pair):
        parts = [(f"{part}/", getattr(spec, part), shapes[part])
                 for part in ("generator", "discriminator")]
    for prefix, part, tree in parts:
        for path, flops in (*_weights(part, tree, length, source, slots),
                            *_attention(part, length, source)):
            yield prefix + path, 3 * flops


def _weights(spec, shapes, length, source, slots):
    tokens = {"tokens": length, "slots": slots, "row": 1}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not _CHEAP.search(name):
            seen = length
            if name.startswith(("encoder/", "source_")) or re.search(
                    "(cross/(key|value)|align/key)$", name):
                seen = source
            elif name == "embedding/project" and not getattr(spec, "source_embedding", None):
                seen = length + source  # one for both sides
            elif name.startswith(("pooler/", "decoder/start/")):
                seen = 1
            for head, kind in spec.heads:
                if name.startswith(f"heads_{head}/"):
                    seen = tokens[kind.reads]
            yield name, 2 * math.prod(leaf.shape) * seen * _times(spec, name)
    table = spec.embedding.vocab * (spec.embedding.rank or spec.embedding.width)
    for name, head in spec.heads:
        if isinstance(head, (Tied, Masked, Boundary)):
            yield f"heads_{name}", 2 * table * tokens[head.reads]


def _times(spec, name: str) -> int:
    """How often a row goes through a parameter: once for each repeat of what repeats share."""
    here = re.match(r"(?P<stack>\w+)/shared_(?P<segment>\d+)/", name)
    if here is None:
        return 1
    return getattr(spec, here["stack"]).segments[int(here["segment"])].repeats


def _attention(spec, length, source):
    if isinstance(spec, RecurrentEncoderDecoder):
        yield "decoder/align", _looks(spec, length, source)
        return
    if isinstance(spec, EncoderDecoder):
        stacks = [("encoder", spec.encoder, source), ("decoder", spec.decoder, length)]
    else:
        stacks = [("stack", spec.stack, length)]
    for name, stack, tokens in stacks:
        for n, segment in enumerate(stack.segments):
            for m, block in enumerate(segment.pattern):
                for key, layer in block.sublayers:
                    scores = _scores(layer, spec.embedding.width, tokens, source)
                    yield f"{name}/segment_{n}/{m}_{key}", segment.repeats * scores


def _looks(spec, length, source) -> float:
    """Additive attention: the scores' last product, and probabilities times annotations."""
    if not isinstance(spec.attention, Additive):
        return 0.0
    memory = spec.cell.width * (2 if spec.reading == "both" else 1)
    return 2.0 * length * source * (spec.attention.width + memory)


def _scores(layer, width, tokens, source) -> float:
    """Queries times keys and probabilities times values of one sublayer."""
    if not isinstance(layer, (Attention, CrossAttention)):
        return 0.0
    H, _, K = layer.sizes(width)
    if isinstance(layer, CrossAttention):
        return 4.0 * tokens * source * H * K
    return 4.0 * tokens * tokens * H * K * (0.5 if layer.reach.backward else 1.0)
