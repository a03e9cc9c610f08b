"""`python -m transformer generate CHECKPOINT --prompt=TEXT`: continues, translates, summarises."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transformer.error import UserError, require_folder
from transformer.verbs import choosing, generate_arrays, generate_text, meshes
from transformer.verbs.generation_config import defaults, joined
from transformer.verbs.lines import read_lines


def command(arguments: list[str]) -> int:
    """Prints what the model makes of each prompt (`--json` writes it), or reads and writes arrays.

    Raises:
      UserError: a model that generates nothing, a prompt that is empty or longer than the context,
        settings out of range.
    """
    options = _parser().parse_args(arguments)
    given = choosing.asked(options)
    choosing.choice(given)  # checks the values before anything is loaded
    if (options.inputs is None) != (options.outputs is None):
        raise UserError("--inputs and --outputs belong together: token ids in, token ids out")
    if options.inputs is not None and not options.inputs.is_file():
        raise UserError(f"{options.inputs}: there is no such file")
    texts = read_lines(options.prompts) if options.prompts else options.prompt or []
    if not -1 << 63 <= options.seed < 1 << 63:
        raise UserError(f"--seed is {options.seed}; give a number of at most 63 bits and a sign")
    if options.stream:
        _require_one(texts, given)

    from transformer import load
    from transformer.launch import mesh_context

    require_folder(options.json, options.outputs)
    mesh = meshes.asked(options)
    loaded = load(options.checkpoint, mesh=mesh)
    print(loaded.path, file=sys.stderr)
    if "logits" not in dict(loaded.model.spec.heads):
        heads = ", ".join(dict(loaded.model.spec.heads)) or "none"
        raise UserError("generate needs a model that predicts the next token (a head called "
                        f"logits); this checkpoint has the heads: {heads}")
    every = joined(given, defaults(Path(loaded.path)))
    choosing.require_search(given, every)
    if options.stream:
        _require_one(texts, every)  # what is stored may ask for several
    with mesh_context(mesh):
        if options.inputs is not None:
            generate_arrays.answer(loaded, options.inputs, options.outputs, every)
        else:
            generate_text.answer(loaded, texts, options, every)
    return 0


def _require_one(texts: list[str], given: dict) -> None:
    if given.get("beams", 1) != 1:
        raise UserError("--stream shows a text as it grows, but beam search knows its answer at "
                        "the end only; leave it out, or say --beams=1")
    rows = len(texts) * given.get("answers", 1)
    if rows != 1:
        raise UserError(f"--stream shows one text as it grows, but this asks for {rows}; leave it "
                        "out, or give one prompt and --samples=1")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m transformer generate", description=__doc__,
        epilog="Greedy, unless --beams asks for a search, or --temperature, --top-k, --top-p or "
        "--samples above 1 for sampling, which apply in that order. A model that was trained to "
        "rewrite (translation, summarisation) takes each prompt as a source and prints its answer, "
        "one a line. Where a checkpoint holds a generation_config.json, that says what is not "
        "given here.")
    add = parser.add_argument
    add("checkpoint", type=Path, help="a run's directory or one step's")
    door = parser.add_mutually_exclusive_group(required=True)
    door.add_argument("--prompt", metavar="TEXT", action="append",
                      help="a text to begin from; may be given several times")
    door.add_argument("--prompts", type=Path, metavar="FILE", help="a prompt on each line, UTF-8")
    door.add_argument("--inputs", type=Path, metavar="IN.npz", help="token ids, int64 [batch, "
                      "length]: input_ids, attention_mask (1 = real; all if absent), and for an "
                      "encoder-decoder decoder_input_ids (the start token if absent)")
    add("--outputs", type=Path, metavar="OUT.npz", help="where the answers to --inputs go: "
        "sequences int64 as Hugging Face returns them, and scores float32 [batch]")
    add("--tokens", "--max-new-tokens", type=int, metavar="N", help="new tokens at most, int "
        f"(default: {generate_text.TOKENS}, or fewer where the context ends; of --inputs "
        f"{generate_arrays.TOKENS}); an answer may stop by itself before")
    add("--samples", "--num-return-sequences", dest="answers", type=int, metavar="N",
        help="answers to each prompt, int (default: 1)")
    choosing.add_drawing(add)
    choosing.add_searching(add)
    choosing.add_constraints(add)
    meshes.add_mesh(add)
    add("--eos-token-id", dest="eos", type=int, metavar="ID", help="the token that ends an answer, "
        "int (default: what the checkpoint says)")
    add("--pad-token-id", dest="pad", type=int, metavar="ID", help="what follows it in the outputs "
        "of --inputs, int (default: what the checkpoint says, or else its end)")
    add("--decoder-start-token-id", dest="start", type=int, metavar="ID",
        help="what an encoder-decoder's answer begins from, int (default: the checkpoint's)")
    add("--seed", type=int, default=0, help="of the sampling, int (default: %(default)s)")
    add("--stream", action="store_true", help="print one text while it is being made")
    add("--json", type=Path, metavar="PATH", help="write texts, token ids, log-probabilities (nats "
        "under the model, summed over a text; not with --stream), scores of beam search and speed "
        "here as well; not of --inputs")
    return parser
