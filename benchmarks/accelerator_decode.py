"""Greedy decoding of published sizes in bf16 on an accelerator: one row against the time of reading
the weights at the bandwidth measured in the same run, and 64 rows against one."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks import record
from benchmarks.sides import race
from benchmarks.workloads import SCALES

PROMPT, NEW = 16, 256  # tokens
MANY = 64  # rows
MODELS = ("llama_1b", "gpt2_124m")
GOALS = {"of_bandwidth": {"llama_1b": 0.65}, "tokens_per_second": {"gpt2_124m": 2000.0},
         "many_over_one": {"llama_1b": 25.0, "gpt2_124m": 25.0}}
ROUNDS = 3


def prepare(side: str, options: dict):
    """side: "MODEL ROWS". Seconds of the first token are taken off: the pass over the prompt is
    bound by arithmetic."""
    import jax

    from benchmarks import accelerator_ours, ours
    from transformer.generation.generate import Generator, Greedy, ends
    from transformer.generation.prompt import fit
    from transformer.nn.context import Run
    from transformer.nn.door import unstack
    from transformer.profiling.machine import bandwidth

    name, rows = side.split()
    rows, work, new = int(rows), SCALES[options["scale"]][name], options["new"]
    model = accelerator_ours.model(work)
    dtype = ours.DTYPES[options["precision"]]
    cast = lambda key: jax.tree.map(lambda leaf: leaf.astype(dtype), model.init(key))
    params = unstack(jax.jit(cast)(jax.random.key(0)))
    prompt = np.random.default_rng(0).integers(10, work.published, (rows, options["prompt"]))
    batch, capacity = fit(model, {"tokens": prompt.astype(np.int32)}, new)
    generator = Generator(model, Greedy(), capacity, None, Run(dtype=dtype), (), new)

    def seconds(tokens: int) -> float:
        began = time.perf_counter()
        made = generator.loop(params, batch, ends(None, 0, tokens), jax.random.key(0))
        if int(np.asarray(made["lengths"]).min()) != tokens:
            raise SystemExit(f"{side}: fewer than {tokens} new tokens")
        return time.perf_counter() - began

    def measure() -> dict:
        first, whole = seconds(1), seconds(new)
        return {"tokens_per_second": rows * (new - 1) / (whole - first), "first_token": first,
                "bandwidth": bandwidth() if rows == 1 else None}

    seconds(new)
    needed = sum(leaf.nbytes for path, leaf in jax.tree_util.tree_leaves_with_path(params)
                 if "positions" not in jax.tree_util.keystr(path))
    return {"device": jax.devices()[0].device_kind, "bytes": needed,
            "parameters": model.count()}, measure


def compare(name: str, options) -> dict:
    """One model at one row and at many."""
    tiny = options.scale == "tiny"
    many = 4 if tiny else MANY
    asked = {"scale": options.scale, "precision": options.precision,
             "prompt": 4 if tiny else PROMPT, "new": 16 if tiny else NEW}
    seconds = 60 * options.minutes / len(options.models)
    sides = race("benchmarks.accelerator_decode", (f"{name} 1", f"{name} {many}"), asked, seconds,
                 ROUNDS)
    one, more = sides
    speeds = {str(rows): side.median("tokens_per_second") for rows, side in
              ((1, one), (many, more))}
    measured = statistics.median(result["bandwidth"] for result in one.results)
    found = {"model": name, "scale": options.scale, "precision": options.precision, **asked,
             "tokens_per_second": speeds, "weight_bytes": one.about["bytes"],
             "parameters": one.about["parameters"], "bandwidth": measured,
             "device": one.about["device"],
             "of_bandwidth": speeds["1"] * one.about["bytes"] / measured,
             "many_over_one": speeds[str(many)] / speeds["1"], "many": many,
             "goals": {what: table[name] for what, table in GOALS.items() if name in table}}
    for rows, speed in speeds.items():
        print(f"{name:10s} {rows:>3s} rows {speed:12,.1f} tokens/s")
    print(f"{name:10s} weights read at {found['of_bandwidth']:.2f} of {measured / 1e9:,.0f} GB/s; "
          f"{many} rows over one: {found['many_over_one']:.1f}; goals {found['goals']}", flush=True)
    return found


def main() -> None:
    parser = record.parser(__doc__, minutes=0.5)
    parser.add_argument("--scale", choices=SCALES, default="published")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.set_defaults(precision="bf16")
    options = parser.parse_args()
    for name in options.models:
        found = compare(name, options)
        record.write(options, f"decode_{name}", found, found["device"])


if __name__ == "__main__":
    main()
