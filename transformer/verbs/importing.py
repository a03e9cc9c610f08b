"""`python -m transformer import HF_DIR CHECKPOINT`: a Hugging Face directory as a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path


def command(arguments: list[str]) -> int:
    """Exit status 0; 3 for a family or class that is not supported, with those that are."""
    parser = argparse.ArgumentParser(
        prog="python -m transformer import", description=__doc__, epilog="The directory is only "
        "read. Weights are taken from safetensors (sharded or not) or flax_model.msgpack; pickles "
        "are refused, and code in the directory is never run.")
    parser.add_argument("source", type=Path, metavar="HF_DIR",
                        help="holds config.json, weights and tokenizer files")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT",
                        help="a directory that does not exist yet; every program reads it")
    options = parser.parse_args(arguments)

    from transformer.interop.importing import bring

    found = bring(options.source, options.checkpoint)
    count = sum(array.size for array in found.params.values())
    print(f"{options.checkpoint}: {found.architecture}, {count:,} parameters in "
          f"{', '.join(sorted({str(a.dtype) for a in found.params.values()}))}")
    for note in found.notes:
        print(f"  {note}")
    return 0
