"""`python -m transformer VERB ...`: see `--help` of each verb."""

from __future__ import annotations

import importlib
import sys

from transformer.error import UserError, guarded
from transformer.spec import nearest

VERBS = {
    "generate": ("transformer.verbs.generate", "continue a prompt"),
    "embed": ("transformer.verbs.embed", "one vector for each line of a file"),
    "fill": ("transformer.verbs.fill", "fill the <mask> in each line of a file"),
    "logits": ("transformer.verbs.logits", "a model's outputs for token ids, from file to file"),
    "import": ("transformer.verbs.importing", "a Hugging Face directory as a checkpoint"),
    "export": ("transformer.verbs.exporting", "a checkpoint as a Hugging Face directory, proved"),
    "tokenizer": ("transformer.data.tokenizer_command", "train, inspect and try a tokenizer"),
    "models": ("transformer.verbs.models", "the zoo: families, sizes, exact parameter counts"),
    "verify": ("transformer.training.verify", "check a checkpoint against its manifest"),
    "profile": ("transformer.verbs.profile", "where the time of a training step goes"),
    "plan": ("transformer.verbs.plan", "does a run fit a machine, and how long does it take"),
    "plot": ("transformer.training.plot", "a picture of the curves of a run"),
}


def command(arguments: list[str]) -> int:
    """Runs one verb; without one, or with --help, lists them."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m transformer VERB ...\n")
        for verb, (_, meaning) in VERBS.items():
            print(f"  {verb:10} {meaning}")
        print("\nTraining is `python train.py --help`, evaluation `python evaluate.py --help`.")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        raise UserError(f"there is no verb {verb!r}{nearest(verb, VERBS)}")
    return importlib.import_module(VERBS[verb][0]).command(rest)


if __name__ == "__main__":
    sys.exit(guarded(command, sys.argv[1:]))
