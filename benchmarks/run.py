"""All benchmarks one after the other, on the same cores, each in a process of its own.

    python -m benchmarks.run --minutes=30

Comparisons with PyTorch need the `benchmark` extra in this environment: pip install '.[benchmark]'.
Nothing else should run on the machine meanwhile; each result records the load it began under.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import record

SHARES = {"train": 0.5, "decode": 0.2, "published": 0.15, "loader": 0.1, "encode": 0.05}  # of time
FIXED = ("memory", "startup", "interop")


def main() -> int:
    parser = record.parser(__doc__.split("\n\n")[0], minutes=20)
    parser.add_argument("--only", nargs="+", choices=(*SHARES, *FIXED), default=[*SHARES, *FIXED])
    options = parser.parse_args()
    if options.json:
        parser.error("--json names one file, but every benchmark writes its own; leave it out")
    record.pin(options)
    failed = []
    for name in options.only:
        command = [sys.executable, "-m", f"benchmarks.{name}", f"--precision={options.precision}"]
        if name in SHARES:
            command.append(f"--minutes={options.minutes * SHARES[name]}")
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=record.RESULTS.parent.parent).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
