"""Cached decoding on the GPT shape, greedy and by beam search, against Hugging Face `generate`, in
the same run."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from benchmarks import record
from benchmarks.shapes import SHAPES, VOCAB
from benchmarks.sides import race

PROMPT, NEW = 16, 200  # tokens
PEERS = ("generate", "static")  # "static": a cache of one size and a compiled forward pass
GOALS = {1: 3.0, 8: 1.8}  # our speed over the best of theirs, by rows, at any width
BEAMS = (1, 4)  # width of the search; 1 is greedy


def prepare(side: str, options: dict):
    shape = dataclasses.replace(SHAPES["gpt"], length=256, rows=options["rows"])
    prompt = np.random.default_rng(0).integers(10, VOCAB, (options["rows"], PROMPT), dtype=np.int32)
    sided = _ours if side == "ours" else _peer
    generate, device = sided(side, shape, prompt, options)

    def measure() -> dict:
        began = time.perf_counter()
        new = generate()
        seconds = time.perf_counter() - began
        if new != NEW:
            raise SystemExit(f"{side} made {new} tokens, not {NEW}")
        return {"tokens_per_second": options["rows"] * NEW / seconds}

    measure()
    return {"device": device}, measure


def _ours(side, shape, prompt, options):
    from transformer.launch import keep_memory

    keep_memory()
    import jax

    from benchmarks import ours
    from transformer.generation.generate import Beam, Greedy, generate
    from transformer.nn.context import Run
    from transformer.nn.door import unstack

    model = ours.model("gpt", shape)
    params = unstack(model.init(jax.random.key(0)))
    run = Run(dtype=ours.DTYPES[options["precision"]])
    choose = Greedy() if options["beams"] == 1 else Beam(width=options["beams"])

    def one() -> int:
        made = generate(model, params, {"tokens": prompt}, tokens=NEW, choose=choose, run=run)
        return int(made["lengths"].min())

    return one, jax.devices()[0].device_kind


def _peer(side, shape, prompt, options):
    import torch

    from benchmarks import peer

    torch.set_num_threads(options["cores"])
    dtype = torch.bfloat16 if options["precision"] == "bf16" else torch.float32
    model = peer.model("gpt", shape).eval().to(dtype)
    tokens = torch.tensor(prompt, dtype=torch.long, device=peer.DEVICE)
    settings = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0,
                    num_beams=options["beams"], attention_mask=torch.ones_like(tokens))
    if side == "static":
        settings["cache_implementation"] = "static"
        model.forward = torch.compile(model.forward)

    @torch.inference_mode()
    def one() -> int:
        made = model.generate(tokens, **settings)
        peer.wait()
        return made.shape[1] - PROMPT

    return one, peer.device()


def compare(rows: int, beams: int, options, cores: int) -> dict:
    asked = {"rows": rows, "beams": beams, "precision": options.precision, "cores": cores}
    seconds = 60 * options.minutes / len(options.rows) / len(options.beams)
    sides = race("benchmarks.decode", ("ours", *options.peers), asked, seconds)
    speeds = {side.name: side.median("tokens_per_second") for side in sides}
    best = max((name for name in speeds if name != "ours"), key=speeds.get)
    for name, speed in speeds.items():
        print(f"{rows} rows   beam {beams}   {name:10s} {speed:9,.0f} tokens/s")
    ratio = speeds["ours"] / speeds[best]
    goal = f" (goal {GOALS[rows]})" if rows in GOALS else ""
    print(f"{rows} rows   beam {beams}   ours over the best of the others ({best}): {ratio:.2f}"
          f"{goal}")
    return {"tokens_per_second": speeds, "best_peer": best, "ratio": ratio,
            "devices": {side.name: side.about["device"] for side in sides}}


def main() -> None:
    parser = record.parser(__doc__, minutes=4)
    parser.add_argument("--rows", nargs="+", type=int, default=list(GOALS))
    parser.add_argument("--beams", nargs="+", type=int, default=list(BEAMS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    cores = record.pin(options)
    results = {str(beams): {str(rows): compare(rows, beams, options, cores)
                            for rows in options.rows} for beams in options.beams}
    record.write(options, f"decode_{options.precision}", {
        "precision": options.precision, "cores": cores, "prompt": PROMPT, "new": NEW,
        "goals": {str(k): v for k, v in GOALS.items()}, "beams": results})


if __name__ == "__main__":
    main()
