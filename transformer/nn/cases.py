"""Every attention that a model computes, as cases, known before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

from transformer.error import UserError
from transformer.nn.attention import Attention, CrossAttention
from transformer.nn.context import Run
from transformer.nn.model import EncoderDecoder, Pair
from transformer.ops.backend import REFUSALS
from transformer.ops.case import Case
from transformer.ops.reach import Everywhere
from transformer.ops.target import platform
from transformer.spec import Spec


def require_backend(spec: Spec, run: Run, length: int, source: int, mesh) -> None:
    """UserError where `run.attention` names a backend that refuses a layer of this model.

    length, source: T and S of a row. mesh: the devices that share it.
    """
    if run.attention == "auto":
        return
    for name, case in cases(spec, run, length, source, mesh):
        if why := REFUSALS[run.attention](case):
            raise UserError(f"run.attention={run.attention} cannot compute {name}: {why}; use "
                            "run.attention=auto, or another backend")


def cases(spec: Spec, run: Run, length: int, source: int, mesh) -> Iterator[tuple[str, Case]]:
    """(where, case) of each layer in training; rows hold padding or several documents."""
    if isinstance(spec, Pair):
        for name in ("generator", "discriminator"):
            for where, case in cases(getattr(spec, name), run, length, source, mesh):
                yield f"{name}.{where}", case
        return
    if isinstance(spec, EncoderDecoder):
        stacks = [("encoder", spec.encoder, source), ("decoder", spec.decoder, length)]
    else:
        stacks = [("stack", spec.stack, length)] if hasattr(spec, "stack") else []
    tensor, parts = mesh.shape["tensor"], mesh.shape["sequence"]
    for name, stack, tokens in stacks:
        for n, segment in enumerate(stack.segments):
            for m, block in enumerate(segment.pattern):
                for layer, how in block.sublayers:
                    if not isinstance(how, (Attention, CrossAttention)):
                        continue
                    H, G, K = how.sizes(spec.embedding.width)
                    own = isinstance(how, Attention)
                    reach = how.reach if own else Everywhere()
                    yield f"{name}.segments.{n}.pattern.{m}.{layer}", Case(
                        platform(), run.dtype, tokens // parts, tokens if own else source,
                        H // tensor, max(1, G // tensor), K, reach, prefix=reach.by_row,
                        bias=own and stack.bias is not None,
                        dropout=bool(how.probability_dropout), spread=mesh.size > 1,
                        parted=parts > 1)
