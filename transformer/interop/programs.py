"""What a model computes, as exported programs over flat parameters: forward, prefill, decode.

`params` is {path: array}. forward takes it as it is stored. The two that decode take each stacked
parameter as a list of its layers: slicing it at every token would copy the weights.
"""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
from jax import export

from transformer.nn.door import Model, unstack
from transformer.nn.model import Decoder, Pair, SourceToTarget
from transformer.ops.reach import Prefix
from transformer.spec import Spec
from transformer.training import paths

PLATFORMS = ("cpu", "cuda", "tpu")


def served(model: Model, params) -> tuple[Model, dict]:
    """What is used after training: of a pair the discriminator, which needs nothing of the other.

    -> that model, and its parameters.
    """
    if isinstance(model.spec, Pair):
        return Model(model.spec.discriminator), params["discriminator"]
    return model, params


def decodes(spec) -> bool:
    """Whether a model of this spec gives one token after another."""
    return isinstance(spec, (Decoder, SourceToTarget)) and "logits" in dict(spec.heads)


def programs(model: Model, capacity: int) -> dict:
    """{name: jax.export.Exported} of `functions`, for every platform."""
    with jax.default_matmul_precision("highest"):  # a platform's default may be less than fp32
        return {name: export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
                for name, (function, arguments) in functions(model, capacity).items()}


def functions(model: Model, capacity: int) -> dict:
    """{name: (function, the shapes of its arguments)}; numbers of rows and tokens are left open.

    forward(params, batch) -> what `Model.apply` gives, without what is None.
    prefill(params, batch) -> logits [b, V] that follow each row's last token, and a cache with room
      for `capacity` tokens.
    decode(params, cache, token [b]) -> the same after one more token.
    """
    spec, shapes = model.spec, model.shapes()
    limit = spec.embedding.position.limit()
    source = (getattr(spec, "source_embedding", None) or spec.embedding).position.limit()
    forward = _forward(model), (paths.named(shapes), inputs(spec, limit, source))
    if not decodes(spec):
        return {"forward": forward}
    layers = by_layer(shapes)
    prefill, decode = _decoding(model, capacity)
    batch = inputs(spec, None, source, length=1)
    _, cache = jax.eval_shape(prefill, layers, batch)
    token = jax.ShapeDtypeStruct(batch["tokens"].shape[:1], jnp.int32)
    return {"forward": forward,
            "prefill": (prefill, (layers, inputs(spec, capacity, source))),
            "decode": (decode, (layers, cache, token))}


def inputs(spec, longest: int | None, source: int | None, length: int | None = None) -> dict:
    """The batch as shapes: b rows of t tokens, t open up to `longest` unless `length` is given, and
    for an encoder-decoder s source tokens up to `source`."""
    sides = {"t": longest} | ({"s": source} if isinstance(spec, SourceToTarget) else {})
    if length is not None:
        del sides["t"]
    limits = [f"{name} <= {most}" for name, most in sides.items() if most is not None]
    b, *open_ = export.symbolic_shape(", ".join(("b", *sides)), constraints=limits)
    sizes = {"t": length} | dict(zip(sides, open_))
    whole = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)
    batch = {"tokens": whole(b, sizes["t"]), "segments": whole(b, sizes["t"])}
    if "s" in sizes:
        return batch | {f"source_{name}": whole(b, sizes["s"]) for name in batch}
    if spec.embedding.types:
        batch["types"] = batch["tokens"]
    if isinstance(spec, Decoder) and any(head.reads == "row" for _, head in spec.heads):
        batch["pooled"] = whole(b)
    if _holds(spec, Prefix):
        batch["prefix"] = batch["tokens"]
    return batch


def _holds(value, kind) -> bool:
    """Whether a spec of this kind is somewhere in a tree of specs."""
    parts = vars(value).values() if isinstance(value, Spec) else value
    return isinstance(value, kind) or isinstance(value, (Spec, tuple)) and any(
        _holds(part, kind) for part in parts)


def by_layer(params) -> dict:
    """{path: array, or the list of its layers where decoding wants them apart}."""
    abstract = not isinstance(jax.tree.leaves(params)[0], jax.Array)
    whole = paths.named(params)
    apart = paths.named(jax.eval_shape(unstack, params) if abstract else unstack(params))
    lists = {}
    for path in whole.keys() - apart.keys():
        named = (_of_layer(path, l) for l in range(whole[path].shape[0]))
        lists[path] = [apart[name] for name in named]
    return {path: lists.get(path, leaf) for path, leaf in whole.items()}


def _of_layer(path: str, l: int) -> str:
    """stack/segment_0/0_up -> stack/segment_0/7/0_up, the path of the layer after `unstack`."""
    return re.sub(r"segment_\d+/", rf"\g<0>{l}/", path, count=1)


def _forward(model):
    def forward(params, batch):
        outputs = model.apply(paths.nested(params), batch)
        return {name: output for name, output in outputs.items() if output is not None}
    return forward


def _decoding(model, capacity: int):
    like = jax.eval_shape(unstack, model.shapes())

    def tree(params):
        apart = {}
        for path, leaf in params.items():
            layers = enumerate(leaf) if isinstance(leaf, list) else ()
            apart |= {_of_layer(path, l): layer for l, layer in layers} or {path: leaf}
        return paths.like(like, apart)

    def prefill(params, batch):
        params, segments_BT = tree(params), batch["segments"]
        cache = model.open(params, batch, capacity)
        logits_BV, cache = model.decode(params, cache, batch["tokens"], segments_BT)
        # new tokens overwrite the slots that are padding in every row
        return logits_BV, {**cache, "slot": segments_BT.sum(1).max()}

    def decode(params, cache, token_B):
        return model.decode(tree(params), cache, token_B[:, None])

    return prefill, decode
