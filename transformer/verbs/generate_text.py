"""Prompts to printed answers: the door of `generate` for texts."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from transformer.spec import to_json
from transformer.verbs import choosing
from transformer.verbs.prompts import Prompt, continuation, prompt_of

ROWS = 32  # generated at once
TOKENS = 128  # new ones, where the context has room


def answer(loaded, texts: list[str], options, given: dict) -> None:
    """Prints the answers to every text and writes `options.json`; given: {option: value}."""
    prompts = [_begun(prompt_of(loaded, text, f"prompt {n}"), given)
               for n, text in enumerate(texts, 1)]
    vocab, special = loaded.tokenizer.size, loaded.tokenizer.special
    choose = choosing.choice(given)
    settings = dict(tokens=_room(loaded, prompts, given), choose=choose, vocab=vocab,
                    stop=given.get("eos", special.get("eos")), run=loaded.experiment.run,
                    constraints=choosing.constraints(_counted(given, prompts), vocab))
    began = time.perf_counter()
    write = _streamed if options.stream else _printed
    samples = write(loaded, prompts, options.seed, settings)
    seconds = time.perf_counter() - began
    made = sum(len(sample["tokens"]) for sample in samples)
    print(f"{made:,} tokens in {seconds:.2f} s, compilation included "
          f"({made / seconds:,.0f} tokens/s)", file=sys.stderr)
    if options.json:
        told = {"checkpoint": str(loaded.path), "choose": to_json(choose), "seed": options.seed,
                "constraints": to_json(settings["constraints"]), "seconds": seconds,
                "tokens_per_second": made / seconds, "samples": samples}
        options.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n",
                                encoding="utf-8")


def _begun(prompt: Prompt, given: dict) -> Prompt:
    if prompt.source is None or "start" not in given:
        return prompt
    return prompt._replace(tokens=[given["start"]])


def _longest(prompts: list[Prompt]) -> int:
    return max(len(prompt.tokens) for prompt in prompts)


def _counted(given: dict, prompts: list[Prompt]) -> dict:
    """Lengths that include the prompt as counts of new tokens."""
    least = given.get("min_length", 0) - _longest(prompts)
    return {"min_tokens": least, **given} if least > 0 else given


def _room(loaded, prompts: list[Prompt], given: dict) -> int:
    """New tokens at most: as given, or those that fit behind the longest prompt, if few do."""
    if "tokens" in given:
        return given["tokens"]
    longest, limit = _longest(prompts), loaded.model.spec.embedding.position.limit()
    wanted = given["max_length"] - longest if "max_length" in given else TOKENS
    return max(1, wanted if limit is None else min(wanted, limit - longest))


def _printed(loaded, prompts, seed: int, settings) -> list[dict]:
    choose = settings["choose"]
    several, width = getattr(choose, "answers", 1), getattr(choose, "width", 1)
    kind = "answer" if width > 1 else "sample"
    # Prompts at once, always as many: each takes some rows of the cache.
    step = min(len(prompts), max(1, ROWS // max(several, width)))
    samples = []
    for start in range(0, len(prompts), step):
        part = prompts[start:start + step]
        for n, found in enumerate(_generated(loaded, part, step, start, seed, settings), start):
            for m, sample in enumerate(found, 1):
                shown = prompts[n].shown
                if len(prompts) * several > 1 and shown:
                    print(f"{chr(10) if samples else ''}[prompt {n + 1}, {kind} {m}]")
                print(shown + sample["text"])
                samples.append(sample)
    return samples


def _generated(loaded, part, rows: int, start: int, seed: int, settings) -> list[list[dict]]:
    """The answers to each prompt; fewer than were asked for where no more exist."""
    import jax

    from transformer.generation.generate import generate
    from transformer.generation.prompt import batch_of

    filled = part + [Prompt("", [], [])] * (rows - len(part))
    batch = {**batch_of([prompt.tokens for prompt in filled]), "index": start + np.arange(rows)}
    if part[0].source is not None:
        batch |= batch_of([prompt.source for prompt in filled], "source_")
    made = generate(loaded.model, loaded.decoding_params, batch, key=jax.random.key(seed),
                    **settings)
    several = len(made["tokens"]) // rows
    every = [[_sample(loaded, prompt, made, n * several + m) for m in range(several)]
             for n, prompt in enumerate(part)]
    return [[sample for sample in found if sample["tokens"]] for found in every]


def _sample(loaded, prompt: Prompt, made: dict, n: int) -> dict:
    ids = made["tokens"][n, :made["lengths"][n]].tolist()
    numbers = {name: float(made[name][n]) for name in ("log_probability", "score") if name in made}
    return {"prompt": prompt.text, "text": continuation(loaded, prompt, ids), "tokens": ids,
            **numbers}


def _streamed(loaded, prompts, seed: int, settings) -> list[dict]:
    import jax

    from transformer.generation.prompt import batch_of
    from transformer.generation.stream import stream, text_of

    (prompt,) = prompts
    batch = batch_of([prompt.tokens])
    if prompt.source is not None:
        batch |= batch_of([prompt.source], "source_")
    columns = stream(loaded.model, loaded.decoding_params, batch, key=jax.random.key(seed),
                     **settings)
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
