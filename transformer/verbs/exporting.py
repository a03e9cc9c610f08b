"""`python -m transformer export CHECKPOINT DIR`: a checkpoint as a Hugging Face directory, or as
StableHLO."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from transformer.error import require_folder


def command(arguments: list[str]) -> int:
    """Exit status 0; 1 where the proof fails; 3 where they have no such model."""
    parser = argparse.ArgumentParser(
        prog="python -m transformer export", description=__doc__, epilog="Nothing is left behind "
        "unless every tensor reads back bit for bit and the model that the directory describes "
        "gives the same outputs; parity.json in it says how closely. Where torch and transformers "
        "are installed, they are run on it as well.")
    parser.add_argument("checkpoint", type=Path, help="a run's directory or one step's")
    parser.add_argument("target", type=Path, metavar="HF_DIR", help="does not exist yet")
    parser.add_argument("--format", choices=("huggingface", "stablehlo"), default="huggingface",
                        help="what to write (default: %(default)s); stablehlo: programs that run "
                        "without this project")
    parser.add_argument("--capacity", type=int, default=1024, metavar="N", help="stablehlo: tokens "
                        "of prompt and answer together that decoding has room for, int (default: "
                        "%(default)s, or the model's positions if they are fewer)")
    parser.add_argument("--part", choices=("discriminator", "generator"),
                        help="of ELECTRA's pair, which has no place in one directory there "
                        "(default: the discriminator)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the proof here as well")
    options = parser.parse_args(arguments)
    require_folder(options.json)
    if options.format == "stablehlo":
        return _stablehlo(options)

    from transformer import load
    from transformer.interop.exporting import send

    loaded = load(options.checkpoint, stored=True)
    report = send(loaded, options.target, options.part, keep=False)
    told = [kind for kinds in report["outputs"].values() for kind in kinds.values()]
    print(f"{options.target}: {report['architecture']}, {report['tensors']} tensors bit for bit, "
          f"outputs within {max(one['largest_difference'] for one in told):.2g}")
    for name, one in report["original"].get("outputs", {}).items():
        print(f"  transformers: {name} within {one['largest_difference']:.2g}")
    if not report["original"]["ran"]:
        print(f"  transformers: {report['original']['why']}")
    for note in report["notes"]:
        print(f"  {note}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _stablehlo(options) -> int:
    from transformer import load
    from transformer.interop import stablehlo

    said = stablehlo.write(load(options.checkpoint), options.target, options.capacity)
    print(f"{options.target}: {', '.join(said['programs'])} for {', '.join(said['platforms'])}, "
          f"within {max(said['differences'].values()):.2g} of the model; README.md has the lines "
          "that run them")
    if options.json:
        options.json.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return 0
