"""Seconds to trace, lower and compile the training step, and the initialisation, by depth."""

from __future__ import annotations

import functools
import time

from benchmarks import record
from benchmarks.sides import race

DEPTHS = (12, 24, 48, 96)
GOAL = 1.3  # the deepest over the shallowest
ROUNDS = 2


def prepare(side: str, options: dict):
    """side: the depth. No program is kept from one turn to the next."""
    import jax
    import jax.numpy as jnp

    from benchmarks import ours
    from transformer.nn.context import Run
    from transformer.nn.door import Model
    from transformer.objectives.next_token import NextToken
    from transformer.training.optimizer import AdamW
    from transformer.training.schedule import Constant
    from transformer.training.step import start, train_step
    from transformer.zoo.gpt2 import gpt2

    jax.config.update("jax_enable_compilation_cache", False)
    model = Model(gpt2(**options["size"], depth=int(side)))
    optimizer = AdamW(learning_rate=Constant(peak=1e-4), decay=0.1).build()
    begin = lambda key: start(model.init(key), optimizer, 0)
    key = jax.random.key(0)
    state = jax.eval_shape(begin, key)
    ids = jax.ShapeDtypeStruct((1, options["rows"], options["length"]), jnp.int32)
    batch = {"tokens": ids, "segments": ids, "targets": ids,
             "weights": jax.ShapeDtypeStruct(ids.shape, jnp.float32),
             "index": jax.ShapeDtypeStruct(ids.shape[:2], jnp.int32)}
    run = Run(dtype=ours.DTYPES[options["precision"]])
    apply = functools.partial(model.apply, run=run, scored=False)
    step = functools.partial(train_step, apply=apply, objective=NextToken(), optimizer=optimizer)

    def seconds(function, *shapes) -> float:
        jax.clear_caches()
        began = time.perf_counter()
        jax.jit(function).lower(*shapes).compile()
        return time.perf_counter() - began

    def measure() -> dict:
        return {"step": seconds(step, state, batch), "init": seconds(begin, key)}

    return {"device": jax.devices()[0].device_kind, "parameters": model.count()}, measure


def main() -> None:
    parser = record.parser(__doc__, minutes=2)
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS), help="ascending")
    parser.add_argument("--scale", choices=("published", "tiny"), default="published",
                        help="width, rows and length: of GPT-2 124M, or just to try the program")
    options = parser.parse_args()
    cores = record.pin(options)
    tiny = options.scale == "tiny"
    size = dict(width=32, heads=2, vocab=128, length=64) if tiny else dict(width=768, heads=12)
    asked = {"precision": options.precision, "size": size, "rows": 2 if tiny else 8,
             "length": 64 if tiny else 1024}
    sides = race("benchmarks.compile", map(str, options.depths), asked, 60 * options.minutes,
                 1 if tiny else ROUNDS)
    table = {side.name: side.about | {what: side.median(what) for what in ("step", "init")}
             for side in sides}
    for depth, row in table.items():
        print(f"{depth:>4s} layers   step {row['step']:6.2f} s   init {row['init']:6.2f} s")
    first, last = sides[0].name, sides[-1].name
    ratios = {what: table[last][what] / table[first][what] for what in ("step", "init")}
    print(f"{last} layers over {first}: step {ratios['step']:.2f}, init {ratios['init']:.2f} "
          f"(goal {GOAL})")
    record.write(options, f"compile_{options.precision}", {
        "cores": cores, "goal": GOAL, "depths": table, "ratio": ratios["step"],
        "init_ratio": ratios["init"], "scale": options.scale}, sides[0].about["device"])


if __name__ == "__main__":
    main()
