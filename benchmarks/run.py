"""The whole suite in one command and a given time, the most important first; docs/speed.md after.

    python -m benchmarks.run --minutes=8

On a machine with a GPU or TPU that is the accelerator's suite, else that of the CPU. Comparisons
with PyTorch need the `benchmark` extra in this environment: pip install '.[benchmark]'. Nothing
else should run on the machine meanwhile; each result records the load it began under.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import page, record, suite


def kind() -> str:
    """"cpu" or "accelerator", as JAX finds it, in a process that then lets go of it."""
    code = "import jax; print('@', jax.default_backend())"
    done = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE,
                          cwd=record.RESULTS.parent.parent, check=True)
    return "cpu" if done.stdout.split()[-1] == "cpu" else "accelerator"


def main() -> int:
    parser = record.parser(__doc__.split("\n\n")[0], minutes=8)
    parser.add_argument("--suite", choices=("cpu", "accelerator"), help="(default: as found)")
    parser.add_argument("--scale", choices=("published", "tiny"), default="published",
                        help="tiny: the accelerator's programs at sizes that run anywhere, whose "
                             "numbers are kept nowhere")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="items of the suite")
    options = parser.parse_args()
    if options.json:
        parser.error("--json names one file, but every benchmark writes its own; leave it out")
    record.pin(options)
    if (options.suite or kind()) == "cpu":
        items = suite.cpu(options.minutes, options.precision)
    else:
        items = suite.accelerator(options.scale)
    names = [item.name for item in items]
    if unknown := sorted(set(options.only or ()) - set(names)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [item for item in items if not options.only or item.name in options.only]
    failed, left = suite.run(chosen, options.minutes)
    if options.scale == "published":
        print(f"written to {page.write()}")
    if left:
        print(f"not measured in {options.minutes:g} minutes: {', '.join(left)}; "
              f"run again with --only {' '.join(left)}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
