"""Encoding a corpus against SentencePiece's own batch encoder on the same cores; peak memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import corpus, record

GOALS = {"ratio": 1.0, "gigabytes": 1.5}
CHILD = """
import json, resource, sys
from pathlib import Path
from transformer.data.encode import encode
from transformer.data.source import Text
from transformer.data.tokenizer import load_tokenizer
made = encode(Text(path=sys.argv[1]), load_tokenizer(sys.argv[2]), sys.argv[3])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unit = 1 if sys.platform == "darwin" else 1024  # bytes
print("@ " + json.dumps({"tokens": len(made), "gigabytes": peak * unit / 1e9}))
"""


def compare(texts: list[str], tokenizer, seconds: float, cores: int) -> dict:
    """Megabytes per second of `encode_batch` and of SentencePiece on the same texts, in turns."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.content["pieces.model"])
    sides = {"ours": lambda: tokenizer.encode_batch(texts),
             "sentencepiece": lambda: model.encode(texts, num_threads=cores)}
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    took, began = {name: [] for name in sides}, time.monotonic()
    while len(took["ours"]) < 5 or time.monotonic() - began < seconds:
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            took[name].append(time.perf_counter() - start)
    speeds = {name: megabytes / statistics.median(times) for name, times in took.items()}
    return {"megabytes_per_second": speeds, "ratio": speeds["ours"] / speeds["sentencepiece"]}


def peak(path: Path, tokenizer) -> dict:
    """Peak memory of a process that encodes a whole file into a new cache, and its speed."""
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save(Path(directory) / "tokenizer")
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", CHILD, path, f"{directory}/tokenizer", f"{directory}/cache"],
            text=True, stdout=subprocess.PIPE, check=True, cwd=record.RESULTS.parent.parent)
        seconds = time.perf_counter() - began
    line = next(line for line in done.stdout.splitlines() if line.startswith("@ "))
    return json.loads(line[2:]) | {"megabytes_per_second": os.path.getsize(path) / 1e6 / seconds}


def main() -> None:
    parser = record.parser(__doc__, minutes=1)
    parser.add_argument("--data", type=Path, metavar="FILE", help="text (default: the world's)")
    parser.add_argument("--vocab", type=int, default=corpus.VOCAB, help=corpus.VOCAB_HELP)
    parser.add_argument("--megabytes", type=float, default=64.0,
                        help="size of the corpus whose peak memory is measured")
    options = parser.parse_args()
    cores = record.pin(options)
    from transformer.data.pieces import Pieces

    with corpus.text(options.data, 8.0) as small:
        texts = corpus.documents(small)
    tokenizer = Pieces(vocab=options.vocab).train(texts)
    numbers = compare(texts, tokenizer, 60 * options.minutes, cores)
    with corpus.text(options.data, options.megabytes) as large:
        numbers["whole"] = peak(large, tokenizer) | {"megabytes": options.megabytes}
    speeds, whole = numbers["megabytes_per_second"], numbers["whole"]
    print(f"encode_batch {speeds['ours']:.1f} MB/s, SentencePiece {speeds['sentencepiece']:.1f} "
          f"MB/s: {numbers['ratio']:.2f} (goal {GOALS['ratio']})")
    print(f"{options.megabytes:.0f} MB into the cache: {whole['megabytes_per_second']:.1f} MB/s, "
          f"peak memory {whole['gigabytes']:.2f} GB (goal {GOALS['gigabytes']})")
    record.write(options, "encode", numbers | {"cores": cores, "goals": GOALS})


if __name__ == "__main__":
    main()
