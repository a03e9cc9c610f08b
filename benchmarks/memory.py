"""Memory of a training step: what the compiler reserves against what must be kept, counted."""

from __future__ import annotations

from benchmarks import record
from benchmarks.shapes import SHAPES, VOCAB, WIDTH, Shape

GOAL = 1.2  # the compiler's bytes over the count, at most


def kept(shape: Shape, source: bool, layers: int) -> int:
    """Numbers that the backward pass of a stack reads again, attention's scores left out.

    A sublayer keeps the stream before and after its norm. Attention also keeps queries, keys,
    values and their mixture; the feed-forward what its activation read and made. Scores are made
    again from queries and keys.
    """
    memory = shape.rows * shape.source
    here = memory if source else shape.rows * shape.length
    attention, feedforward = (2 + 4) * WIDTH * here, (2 + 2 * 4) * WIDTH * here
    cross = (2 + 2) * WIDTH * here + 2 * WIDTH * memory if shape.source and not source else 0
    return layers * (attention + cross + feedforward)


def count(shape: Shape, parameters: int, remat: str, precision: str) -> dict[str, int]:
    """Bytes by purpose: parameters, gradients and two moments in float32, activations."""
    width = {"fp32": 4, "bf16": 2}[precision]
    stacks = [(kept(shape, False, 1), shape.rows * shape.length * WIDTH)]
    if shape.source:
        stacks.append((kept(shape, True, 1), shape.rows * shape.source * WIDTH))
    if remat == "full":  # each layer's input, and one layer made again
        layers = sum(shape.depth * entry for _, entry in stacks) + max(one for one, _ in stacks)
    else:
        layers = sum(shape.depth * one for one, _ in stacks)
    # while a feed-forward is differentiated: its two wide gradients, the stream's, the branch's
    working = shape.rows * max(shape.length, shape.source) * (2 * 4 + 2) * WIDTH
    scored = shape.rows * (shape.masked or shape.length)
    logits = scored * VOCAB * (width + 4)  # in the type of the run, and as float32 gradients
    return {"parameters": 4 * parameters, "gradients": 4 * parameters,
            "optimizer": 8 * parameters, "layers": width * layers,
            "working": width * working, "logits": logits}


def measure(name: str, options) -> dict:
    """The compiled step's bytes and the count."""
    import jax

    from benchmarks import ours
    from transformer.nn.context import Run

    run = Run(dtype=ours.DTYPES[options.precision], remat=options.remat, unroll=options.unroll)
    compiled, state, _ = ours.training(name, SHAPES[name], run)
    analysis = compiled.memory_analysis()
    used = (analysis.argument_size_in_bytes + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes - analysis.alias_size_in_bytes)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state["params"]))
    counted = count(SHAPES[name], parameters, options.remat, options.precision)
    total = sum(counted.values())
    print(f"{name:16s} compiler {used / 2**20:7.0f} MiB   count {total / 2**20:7.0f} MiB   "
          f"ratio {used / total:.2f} (goal {GOAL})")
    return {"bytes": used, "temporary": analysis.temp_size_in_bytes, "count": counted,
            "ratio": used / total, "device": jax.devices()[0].device_kind}


def main() -> None:
    parser = record.parser(__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--remat", choices=("none", "full"), default="none")
    parser.add_argument("--unroll", type=int, choices=(1, 2, 4), default=1)
    options = parser.parse_args()
    record.pin(options)
    results = {name: measure(name, options) for name in options.shapes}
    record.write(options, f"memory_{options.precision}_{options.remat}", {
        "precision": options.precision, "remat": options.remat, "unroll": options.unroll,
        "goal": GOAL, "shapes": results})


if __name__ == "__main__":
    main()
