"""Cached greedy decoding of models of a published size at one row: how near to the time of reading
their weights, and against Hugging Face `generate`, in the same run.

Against the others the whole answer counts, the prompt included. Against the weights only the tokens
after the first do: the pass over a prompt is bound by arithmetic.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks import record
from benchmarks.sides import race

PROMPT, NEW = 16, 64  # tokens
PEERS = ("generate", "static")
MODELS = ("gpt2_small", "t5_small", "llama_125m")
GOAL = 0.75  # of the ceiling
LLAMA = dict(width=768, depth=12, heads=12, hidden=2048, vocab=32000)


def prepare(side: str, options: dict):
    """ceiling: reading every weight that a new token needs, once, by all cores."""
    sided = {"ours": _ours, "ceiling": _ceiling}.get(side, _peer)
    tokens, seconds_of, first = sided(side, options)

    def measure() -> dict:
        seconds = seconds_of()
        found = {"tokens_per_second": tokens / seconds}
        if first:
            found["decoded_per_second"] = (tokens - 1) / (seconds - first())
        return found

    measure()
    return {}, measure


def _model(name: str):
    from transformer.nn.door import Model
    from transformer.zoo.gpt2 import gpt2
    from transformer.zoo.llama import llama
    from transformer.zoo.t5 import t5

    made = {"gpt2_small": lambda: gpt2("small"), "t5_small": lambda: t5("small", dropout=0.0),
            "llama_125m": lambda: llama(**LLAMA)}
    return Model(made[name]())


def _prompt(name: str) -> np.ndarray:
    return np.random.default_rng(0).integers(10, 30_000, (1, PROMPT), dtype=np.int32)


def _timed(call, tokens: int = NEW):
    def seconds() -> float:
        began = time.perf_counter()
        made = call(tokens)
        took = time.perf_counter() - began
        if made != tokens:
            raise SystemExit(f"{made} new tokens, not {tokens}")
        return took

    return seconds


def _ours(side, options):
    from transformer.launch import keep_memory

    keep_memory()
    import jax

    from transformer.generation.generate import generate
    from transformer.nn.door import unstack

    name = options["model"]
    model = _model(name)
    params = unstack(jax.jit(model.init)(jax.random.key(0)))
    prompt = _prompt(name)
    batch = {"tokens": prompt}
    if name == "t5_small":
        batch = {"tokens": np.zeros((1, 1), np.int32), "source_tokens": prompt}

    def one(tokens: int) -> int:
        return int(generate(model, params, batch, tokens=tokens)["lengths"].min())

    return NEW, _timed(one), _timed(one, 1)


def needed(name: str, path: str) -> bool:
    """Whether each new token reads the whole of a parameter: not lookups, nor the encoder, nor what
    made the keys and values of the source."""
    if path.startswith("encoder/") or "cross/key" in path or "cross/value" in path:
        return False
    return path != "embedding/tokens" or name != "llama_125m"  # the others' output is the table


def _ceiling(side, options):
    import concurrent.futures

    from transformer.training.paths import named

    name, cores = options["model"], options["cores"]
    sizes = [leaf.size for path, leaf in named(_model(name).shapes()).items() if needed(name, path)]
    weights = np.random.default_rng(0).random(sum(sizes), np.float32)
    parts = np.array_split(weights, cores)
    pool = concurrent.futures.ThreadPoolExecutor(cores)

    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(8):
            sum(pool.map(lambda part: float(np.dot(part, part)), parts))  # leaves the GIL
        return time.perf_counter() - began

    return 8, seconds, None


def _peer(side, options):
    import torch
    import transformers

    from benchmarks import peer

    torch.set_num_threads(options["cores"])
    name = options["model"]
    if name == "gpt2_small":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    elif name == "t5_small":
        model = transformers.T5ForConditionalGeneration(transformers.T5Config(
            d_model=512, num_layers=6, num_heads=8, d_ff=2048, vocab_size=32128,
            decoder_start_token_id=0))
    else:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            hidden_size=LLAMA["width"], num_hidden_layers=LLAMA["depth"],
            num_attention_heads=LLAMA["heads"], intermediate_size=LLAMA["hidden"],
            vocab_size=LLAMA["vocab"], tie_word_embeddings=False))
    model = model.eval().to(peer.DEVICE)
    tokens = torch.tensor(_prompt(name), dtype=torch.long, device=peer.DEVICE)
    settings = dict(do_sample=False, pad_token_id=0, attention_mask=torch.ones_like(tokens))
    if side == "static":
        settings["cache_implementation"] = "static"
        model.forward = torch.compile(model.forward)
    start = 1 if name == "t5_small" else PROMPT

    @torch.inference_mode()
    def one(new: int) -> int:
        made = model.generate(tokens, max_new_tokens=new, min_new_tokens=new, **settings)
        peer.wait()
        return made.shape[1] - start

    return NEW, _timed(one), None


def compare(model: str, options, cores: int) -> dict:
    asked = {"model": model, "cores": cores}
    seconds = 60 * options.minutes / len(options.models)
    sides = race("benchmarks.published", ("ours", "ceiling", *options.peers), asked, seconds, 3)
    speeds = {side.name: side.median("tokens_per_second") for side in sides}
    for name, speed in speeds.items():
        print(f"{model:12s} {name:10s} {speed:9,.1f} tokens/s")
    decoded = next(side for side in sides if side.name == "ours").median("decoded_per_second")
    of_ceiling = decoded / speeds["ceiling"]
    print(f"{model:12s} ours after the first token {decoded:9,.1f} tokens/s, over the weight-read "
          f"ceiling: {of_ceiling:.2f} (goal {GOAL})")
    found = {"tokens_per_second": speeds, "decoded_per_second": decoded, "of_ceiling": of_ceiling}
    if options.peers:
        best = max(options.peers, key=speeds.get)
        found |= {"best_peer": best, "ratio": speeds["ours"] / speeds[best]}
        print(f"{model:12s} ours over the best of the others ({best}): {found['ratio']:.2f} "
              "(goal 1.0)")
    return found


def main() -> None:
    parser = record.parser(__doc__, minutes=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    if options.precision != "fp32":
        parser.error("the ceiling is measured in fp32 only")
    cores = record.pin(options)
    results = {model: compare(model, options, cores) for model in options.models}
    record.write(options, "published_fp32", {"cores": cores, "prompt": PROMPT, "new": NEW,
                                             "goal": GOAL, "models": results})


if __name__ == "__main__":
    main()
