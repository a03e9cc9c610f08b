"""`python -m transformer generate CHECKPOINT --prompt=TEXT`: continues, translates, summarises."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from transformer.error import UserError, require_folder
from transformer.spec import to_json
from transformer.verbs.lines import read_lines
from transformer.verbs.prompts import Prompt, continuation, prompt_of

ROWS = 32  # generated at once
TOKENS = 128  # new ones, where the context has room


def command(arguments: list[str]) -> int:
    """Prints what the model makes of each prompt; `--json` writes it.

    Raises:
      UserError: a model that generates nothing, a prompt that is empty or longer than the context,
        settings out of range.
    """
    options = _parser().parse_args(arguments)
    texts = options.prompt if options.prompts is None else read_lines(options.prompts)
    choose, rows = _choice(options), len(texts) * options.samples
    if options.samples < 1:
        raise UserError(f"--samples is {options.samples}; ask for at least 1")
    if not -1 << 63 <= options.seed < 1 << 63:
        raise UserError(f"--seed is {options.seed}; give a number of at most 63 bits and a sign")
    if options.stream and rows > 1:
        raise UserError(f"--stream shows one text as it grows, but this asks for {rows}; leave it "
                        "out, or give one prompt and one sample")

    from transformer import load

    require_folder(options.json)
    loaded = load(options.checkpoint)
    print(loaded.path, file=sys.stderr)
    if "logits" not in dict(loaded.model.spec.heads):
        heads = ", ".join(dict(loaded.model.spec.heads)) or "none"
        raise UserError("generate needs a model that predicts the next token (a head called "
                        f"logits); this checkpoint has the heads: {heads}")
    prompts = [prompt_of(loaded, text, f"prompt {n}") for n, text in enumerate(texts, 1)]
    tokens = options.tokens if options.tokens is not None else _room(loaded, prompts)
    settings = dict(tokens=tokens, choose=choose, vocab=loaded.tokenizer.size,
                    stop=loaded.tokenizer.special.get("eos"), run=loaded.experiment.run)
    began = time.perf_counter()
    write = _streamed if options.stream else _printed
    samples = write(loaded, prompts, options, settings)
    seconds = time.perf_counter() - began
    made = sum(len(sample["tokens"]) for sample in samples)
    print(f"{made:,} tokens in {seconds:.2f} s, compilation included "
          f"({made / seconds:,.0f} tokens/s)", file=sys.stderr)
    if options.json:
        told = {"checkpoint": str(loaded.path), "choose": to_json(choose), "seed": options.seed,
                "seconds": seconds, "tokens_per_second": made / seconds, "samples": samples}
        options.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n",
                                encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m transformer generate", description=__doc__,
        epilog="Greedy, unless --temperature, --top-k, --top-p or --samples above 1 asks for "
        "sampling; they apply in that order. A model that was trained to rewrite (translation, "
        "summarisation) takes each prompt as a source and prints its answer, one a line.")
    add = parser.add_argument
    add("checkpoint", type=Path, help="a run's directory or one step's")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--prompt", metavar="TEXT", action="append",
                       help="a text to begin from; may be given several times")
    given.add_argument("--prompts", type=Path, metavar="FILE", help="a prompt on each line, UTF-8")
    add("--tokens", type=int, metavar="N", help="new tokens at most, int (default: "
        f"{TOKENS}, or fewer where the context ends); a text may stop by itself before")
    add("--temperature", type=float, metavar="T", help="float; 0 is greedy, 1 the model's own "
        "distribution (default: 1 where another option asks for sampling)")
    add("--top-k", type=int, metavar="K", help="keep the K likeliest tokens, int (default: all)")
    add("--top-p", type=float, metavar="P", help="keep the likeliest tokens whose probability "
        "reaches P, float in (0, 1] (default: 1)")
    add("--samples", type=int, default=1, metavar="N",
        help="texts for each prompt, int (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the sampling, int (default: %(default)s)")
    add("--stream", action="store_true", help="print one text while it is being made")
    add("--json", type=Path, metavar="PATH", help="write texts, token ids, log-probabilities (nats "
        "under the model, summed over a text; not with --stream) and speed here as well")
    return parser


def _choice(options):
    from transformer.ops.sampling import Greedy, Sample

    given = (options.temperature, options.top_k, options.top_p)
    greedy = options.temperature == 0 or (given == (None,) * 3 and options.samples == 1)
    sample = Sample(temperature=options.temperature or 1.0, top_k=options.top_k,
                    top_p=1.0 if options.top_p is None else options.top_p)  # checks the values
    return Greedy() if greedy else sample


def _room(loaded, prompts: list[Prompt]) -> int:
    """New tokens by default: those that fit behind the longest prompt, if there are so few."""
    limit = loaded.model.spec.embedding.position.limit()
    longest = max(len(prompt.tokens) for prompt in prompts)
    return TOKENS if limit is None else max(1, min(TOKENS, limit - longest))


def _printed(loaded, prompts, options, settings) -> list[dict]:
    rows = [prompt for prompt in prompts for _ in range(options.samples)]
    samples = []
    for start in range(0, len(rows), ROWS):
        part = rows[start:start + ROWS]
        empty = [Prompt("", [], [])] * (min(ROWS, len(rows)) - len(part))  # one shape for all
        samples += _generated(loaded, part, empty, start, options, settings)
        for n, sample in enumerate(samples[start:], start):
            if len(rows) > 1 and rows[n].shown:
                print(f"{'' if n == 0 else chr(10)}[prompt {n // options.samples + 1}, "
                      f"sample {n % options.samples + 1}]")
            print(rows[n].shown + sample["text"])
    return samples


def _generated(loaded, part, empty, start: int, options, settings) -> list[dict]:
    import jax

    from transformer.generation.generate import generate
    from transformer.generation.prompt import batch_of

    rows = part + empty
    batch = {**batch_of([row.tokens for row in rows]), "index": start + np.arange(len(rows))}
    if part[0].source is not None:
        batch |= batch_of([row.source for row in rows], "source_")
    made = generate(loaded.model, loaded.decoding_params, batch, key=jax.random.key(options.seed),
                    **settings)
    samples = []
    for n, prompt in enumerate(part):
        ids = made["tokens"][n, :made["lengths"][n]].tolist()
        samples.append({"prompt": prompt.text, "text": continuation(loaded, prompt, ids),
                        "tokens": ids, "log_probability": float(made["log_probability"][n])})
    return samples


def _streamed(loaded, prompts, options, settings) -> list[dict]:
    import jax

    from transformer.generation.prompt import batch_of
    from transformer.generation.stream import stream, text_of

    (prompt,) = prompts
    batch = batch_of([prompt.tokens])
    if prompt.source is not None:
        batch |= batch_of([prompt.source], "source_")
    columns = stream(loaded.model, loaded.decoding_params, batch,
                     key=jax.random.key(options.seed), **settings)
    print(prompt.shown, end="", flush=True)
    ids = []

    def tokens():
        for (token,) in columns:
            ids.append(int(token))
            yield token

    for piece in text_of(tokens(), lambda ids: continuation(loaded, prompt, ids)):
        print(piece, end="", flush=True)
    print()
    return [{"prompt": prompt.text, "text": continuation(loaded, prompt, ids), "tokens": ids}]
