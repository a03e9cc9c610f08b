"""Training tokens per second against Hugging Face transformers on PyTorch, and the arithmetic of a
step against the rate of a matrix product, all in the same run."""

from __future__ import annotations

import time

from benchmarks import record
from benchmarks.shapes import SHAPES
from benchmarks.sides import race

# "kept": the C library keeps freed memory, as train.py makes it; a setting of the process that
# helps the peer too, so the peer runs with and without.
PEERS = ("eager", "compile", "eager kept", "compile kept")
TURN = 1.0  # seconds of steps in a turn, at least
# "ratio": ours over the best of the others; "of_matmul": FLOP/s of a step over those of a product
GOALS = {"ratio": 1.2, "of_matmul": 0.45}


def prepare(side: str, options: dict):
    name, shape = options["shape"], SHAPES[options["shape"]]
    if side == "ours":
        step, wait, about, multiply = _ours(name, shape, options)
    else:
        step, wait, about, multiply = _peer(side, name, shape, options)
    for _ in range(2):
        step()
    wait()

    def measure() -> dict:
        began, steps = time.perf_counter(), 0
        while steps < 2 or time.perf_counter() - began < TURN:
            step()
            wait()
            steps += 1
        seconds = (time.perf_counter() - began) / steps
        return {"tokens_per_second": shape.tokens / seconds, "matmul": multiply()}

    return about, measure


def _ours(name, shape, options):
    from transformer.launch import keep_memory

    keep_memory()
    import jax
    import jax.numpy as jnp

    from benchmarks import ours
    from transformer.nn.context import Run

    run = Run(dtype=ours.DTYPES[options["precision"]], remat=options["remat"],
              unroll=options["unroll"])
    compiled, state, batch = ours.training(name, shape, run, options["accumulate"])
    latest = {"state": state}

    def step():
        latest["state"], latest["metrics"] = compiled(latest["state"], batch)

    product = jax.jit(jnp.matmul)
    arrays = [jnp.ones(size, run.dtype) for size in ((4096, 256), (256, 1024))]
    about = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state["params"])),
             "device": jax.devices()[0].device_kind, "settings": {k: options[k] for k in (
                 "remat", "unroll", "accumulate")}}
    multiply = lambda: rate(lambda: product(*arrays).block_until_ready())
    return step, lambda: jax.block_until_ready(latest["state"]), about, multiply


def _peer(side, name, shape, options):
    if side.endswith("kept"):
        from transformer.launch import keep_memory

        keep_memory()
    import torch

    from benchmarks import peer

    torch.set_num_threads(options["cores"])
    step, parameters = peer.training(name, shape, options["precision"], side.startswith("compile"))
    dtype = torch.bfloat16 if options["precision"] == "bf16" else torch.float32
    arrays = [torch.ones(size, dtype=dtype, device=peer.DEVICE)
              for size in ((4096, 256), (256, 1024))]
    multiply = lambda: rate(lambda: (torch.matmul(*arrays), peer.wait()))
    return step, peer.wait, {"parameters": parameters, "device": peer.device()}, multiply


def rate(product, times: int = 10) -> float:
    """GFLOP/s of the best of a few products [4096, 256] x [256, 1024]."""
    product()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return 2e-9 * 4096 * 256 * 1024 / min(seconds)


def compare(shape: str, options, cores: int) -> dict:
    """The sides' medians on one shape, and ours over the best of the others."""
    asked = {"shape": shape, "precision": options.precision, "cores": cores,
             "remat": options.remat, "unroll": options.unroll, "accumulate": options.accumulate}
    seconds = 60 * options.minutes / len(options.shapes)
    sides = race("benchmarks.train", ("ours", *options.peers), asked, seconds)
    table = {side.name: side.about | {"tokens_per_second": side.median("tokens_per_second"),
                                      "matmul_gflops": side.median("matmul"),
                                      "rounds": [r["tokens_per_second"] for r in side.results]}
             for side in sides}
    speeds = {name: row["tokens_per_second"] for name, row in table.items()}
    best = max((name for name in speeds if name != "ours"), key=speeds.get)
    ratio = speeds["ours"] / speeds[best]
    for name, row in table.items():
        print(f"{shape:16s} {name:14s} {row['tokens_per_second']:9,.0f} tokens/s   "
              f"matmul {row['matmul_gflops']:6.0f} GFLOP/s   {row['parameters']:,} parameters")
    flops = step_flops(shape)
    used = flops * speeds["ours"] / SHAPES[shape].tokens
    share = used / 1e9 / table["ours"]["matmul_gflops"]
    print(f"{shape:16s} ours over the best of the others ({best}): {ratio:.2f} "
          f"(goal {GOALS['ratio']}); of the matmul rate: {share:.2f} (goal {GOALS['of_matmul']})")
    return {"sides": table, "best_peer": best, "ratio": ratio, "flops": flops, "of_matmul": share}


def step_flops(name: str) -> float:
    """FLOPs of a training step: of its matrix products, by `train_flops`."""
    from benchmarks import ours
    from transformer.nn.count import train_flops

    shape = SHAPES[name]
    model = ours.model(name, shape)
    return shape.rows * train_flops(model, shape.length, shape.source, shape.masked or None)


def main() -> None:
    parser = record.parser(__doc__, minutes=5)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="none")
    parser.add_argument("--unroll", type=int, choices=(1, 2, 4), default=1)
    parser.add_argument("--accumulate", type=int, default=1, help="slices of our batch")
    options = parser.parse_args()
    cores = record.pin(options)
    for shape in options.shapes:
        found = compare(shape, options, cores)
        record.write(options, f"train_{options.precision}_{shape}", {
            "precision": options.precision, "cores": cores, "goals": GOALS, "shape": shape,
            **found})


if __name__ == "__main__":
    main()
