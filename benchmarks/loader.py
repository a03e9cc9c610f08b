"""The data loader alone against the training step it feeds, and the share of waiting for data."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import corpus, record
from benchmarks.shapes import SHAPES

GOALS = {"ratio": 20.0, "waiting": 0.01}


def stream(path: Path, cache: str, vocab: int):
    """Shuffled rows of the GPT shape, as the configs make them."""
    from benchmarks import ours
    from transformer.data.chunks import Chunks
    from transformer.data.encode import encode
    from transformer.data.pieces import Pieces
    from transformer.data.source import Text
    from transformer.data.stream import Stream

    shape, objective = SHAPES["gpt"], ours.objective("gpt")
    tokenizer = Pieces(vocab=vocab).train(corpus.documents(path))
    rows = Chunks(length=shape.length).build(
        encode(Text(path=str(path)), tokenizer, cache), objective.lookahead)
    return Stream(rows, objective, batch=shape.rows)


def alone(batches, seconds: float) -> float:
    """Tokens per second of a loader that nothing waits for."""
    for _ in range(20):
        next(batches)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(batches)
        steps += 1
    return steps * SHAPES["gpt"].tokens / (time.perf_counter() - began)


def training(batches, seconds: float, precision: str) -> tuple[float, float]:
    """(tokens per second of steps fed by the loader, share of the time spent waiting for it)."""
    import jax

    from benchmarks import ours
    from transformer.launch import place_batch
    from transformer.nn.context import Run
    from transformer.ops.placement import Mesh

    run, mesh = Run(dtype=ours.DTYPES[precision]), Mesh(data=1).build(jax.devices()[:1])
    place = lambda: place_batch(1, mesh, next(batches))
    step, state = ours.fed(run, place())
    waits, steps, began = [], [], time.perf_counter()
    while len(steps) < 5 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        batch = place()
        ready = time.perf_counter()
        state, _ = step(state, batch)
        jax.block_until_ready(state)
        waits.append(ready - start)
        steps.append(time.perf_counter() - start)
    return SHAPES["gpt"].tokens / statistics.median(steps), sum(waits) / sum(steps)


def main() -> None:
    parser = record.parser(__doc__, minutes=1)
    parser.add_argument("--data", type=Path, metavar="FILE", help="text (default: the world's)")
    parser.add_argument("--vocab", type=int, default=corpus.VOCAB, help=corpus.VOCAB_HELP)
    options = parser.parse_args()
    cores = record.pin(options)
    from transformer.launch import keep_memory

    keep_memory()
    with corpus.text(options.data, 8.0) as path, tempfile.TemporaryDirectory() as cache:
        made, seconds = stream(path, cache, options.vocab), 30 * options.minutes
        loader = alone(made.iterate(), seconds)
        trained, waiting = training(made.iterate(), seconds, options.precision)
    ratio = loader / trained
    print(f"loader {loader:,.0f} tokens/s, training {trained:,.0f}: {ratio:.0f} times "
          f"(goal {GOALS['ratio']:.0f}); waiting for data {waiting:.2%} (goal "
          f"{GOALS['waiting']:.0%})")
    record.write(options, f"loader_{options.precision}", {
        "loader_tokens_per_second": loader, "training_tokens_per_second": trained,
        "ratio": ratio, "waiting": waiting, "cores": cores, "goals": GOALS})


if __name__ == "__main__":
    main()
