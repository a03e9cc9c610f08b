"""Training published sizes on an accelerator: tokens per second against PyTorch in the same run,
and the arithmetic of a step against a large matrix product on that very device.

    python -m benchmarks.accelerator --workloads gpt2_124m bert_base --minutes=2
    python -m benchmarks.accelerator --scale=tiny --peers eager      (anywhere: tries the program)
"""

from __future__ import annotations

import statistics
import time

from benchmarks import record
from benchmarks.sides import race
from benchmarks.workloads import PUBLISHED, RATIO, SCALES

PEERS = ("compile", "eager")
TURN = 2.0  # seconds of steps in a turn, at least
ROUNDS = 3
HALF = 0.46  # of the memory of a GPU, for each of two sides; the rest is the libraries' own
SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": str(HALF)}


def prepare(side: str, options: dict):
    work = SCALES[options["scale"]][options["workload"]]
    began = time.perf_counter()
    prepared = _ours if side == "ours" else _peer
    for rows in work.micro:
        try:
            step, wait, about, more = prepared(side, work, rows, options)
            break
        except MemoryError:
            continue
    else:
        raise SystemExit(f"{options['workload']}: {side} does not fit with {work.micro[-1]} rows")
    about |= {"rows": rows, "seconds_to_first_step": time.perf_counter() - began}
    step()
    wait()

    def measure() -> dict:
        began, steps = time.perf_counter(), 0
        while steps < 2 or time.perf_counter() - began < options["turn"]:
            for _ in range(2):  # as in training, nothing is waited for between steps
                step()
            wait()
            steps += 2
        seconds = (time.perf_counter() - began) / steps
        return {"rows_per_second": rows / seconds, **more()}

    return about, measure


def _ours(side, work, rows, options):
    import jax

    from benchmarks import accelerator_ours, ours
    from transformer.nn.context import Run
    from transformer.profiling.machine import matmul_rate
    from transformer.training.peak import peak_flops

    run = Run(dtype=ours.DTYPES[options["precision"]], remat=options["remat"],
              unroll=options["unroll"])
    compiled, state, batch = accelerator_ours.training(work, run, rows)
    latest = {"state": state}

    def step():
        latest["state"], _ = compiled(latest["state"], batch)

    kind = jax.devices()[0].device_kind
    memory = jax.devices()[0].memory_stats() or {}
    about = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state["params"])),
             "device": kind, "peak_flops": peak_flops(kind),
             "row_flops": accelerator_ours.row_flops(work),
             "peak_bytes": memory.get("peak_bytes_in_use"),
             "settings": {name: options[name] for name in ("remat", "unroll")}}
    wait = lambda: jax.block_until_ready(latest["state"])
    return step, wait, about, lambda: {"matmul": matmul_rate(run.dtype)}


def _peer(side, work, rows, options):
    import torch

    from benchmarks import accelerator_peer, peer

    if peer.DEVICE == "cuda":
        torch.cuda.set_per_process_memory_fraction(HALF)
    step, parameters = accelerator_peer.training(work, options["precision"], side == "compile",
                                                 rows)
    about = {"parameters": parameters, "device": peer.device()}
    return step, peer.wait, about, dict


def compare(workload: str, options) -> dict:
    """The sides' medians on one workload, and how they stand to the goals."""
    work = SCALES[options.scale][workload]
    asked = {"workload": workload, "scale": options.scale, "precision": options.precision,
             "remat": options.remat, "unroll": options.unroll,
             "turn": TURN if options.scale == "published" else 0.1}
    seconds = 60 * options.minutes / len(options.workloads)
    sides = race("benchmarks.accelerator", ("ours", *options.peers), asked, seconds, ROUNDS,
                 SETTINGS, alone=True)
    tokens = work.length + work.source
    table = {side.name: side.about | {
        "rows_per_second": side.median("rows_per_second"),
        "tokens_per_second": tokens * side.median("rows_per_second"),
        "rounds": [tokens * result["rows_per_second"] for result in side.results]}
        for side in sides}
    ours = table["ours"]
    rate = statistics.median(result["matmul"] for result in sides[0].results)
    flops = ours["row_flops"] * ours["rows_per_second"]
    found = {"workload": workload, "scale": options.scale, "precision": options.precision,
             "sides": table, "matmul_rate": rate, "flops_per_second": flops,
             "of_matmul": flops / rate, "mfu": ours["peak_flops"] and flops / ours["peak_flops"],
             "goals": {"ratio": RATIO, "of_matmul": work.goal}}
    for name, row in table.items():
        print(f"{workload:12s} {name:8s} {row['tokens_per_second']:12,.0f} tokens/s   "
              f"{row['rows']:4d} rows a step   first step after "
              f"{row['seconds_to_first_step']:.0f} s")
    if others := [side.name for side in sides[1:]]:
        best = max(others, key=lambda name: table[name]["tokens_per_second"])
        found["ratio"] = ours["tokens_per_second"] / table[best]["tokens_per_second"]
        found["best_peer"] = best
        print(f"{workload:12s} over the best of the others ({best}): {found['ratio']:.2f} "
              f"(goal {RATIO})")
    mfu = "n/a" if found["mfu"] is None else f"{found['mfu']:.1%}"
    print(f"{workload:12s} of the matmul rate ({rate / 1e12:,.1f} TFLOP/s): "
          f"{found['of_matmul']:.2f} (goal {work.goal}); MFU {mfu}", flush=True)
    return found


def main() -> None:
    parser = record.parser(__doc__.split("\n\n")[0], minutes=2)
    parser.add_argument("--scale", choices=SCALES, default="published")
    parser.add_argument("--workloads", nargs="+", choices=PUBLISHED, default=None)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["compile"])
    parser.add_argument("--remat", choices=("none", "attention", "dots", "full"), default="none")
    parser.add_argument("--unroll", type=int, choices=(1, 2, 4), default=1)
    parser.set_defaults(precision="bf16")
    options = parser.parse_args()
    options.workloads = [name for name in options.workloads or SCALES[options.scale]
                         if name in SCALES[options.scale]]
    for workload in options.workloads:
        found = compare(workload, options)
        record.write(options, f"train_{workload}", found, found["sides"]["ours"]["device"])


if __name__ == "__main__":
    main()
