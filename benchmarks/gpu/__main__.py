"""Measure on the GPU that is here: ``python -m benchmarks.gpu --kit .gpu --out DIR --seconds 480``.

Correctness, throughput and quality, most telling first. Each cell's row is in ``DIR/results.jsonl`` before the next
one begins, so that what is killed leaves all that it had measured; another call appends to it. Trained models and a
sheet of faces lie beside it. Exit status: 0, or 1 if a cell failed, or nothing could be measured.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.gpu.environment import PARTS, KitError, provide, read_about


def main() -> int:
    """Check what must hold, then run the parts."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kit", type=Path, default=Path(".gpu"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", default=",".join(PARTS), help="a list with commas")
    args = parser.parse_args()
    until = time.monotonic() + args.seconds
    parts = args.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--parts: {', '.join(map(repr, unknown))} not among {', '.join(PARTS)}")
    try:
        about = read_about(args.kit)
        provide(args.kit)
    except KitError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    from benchmarks.gpu.run import run

    return run(args.kit, about, args.out, until, args.device, parts)


if __name__ == "__main__":
    sys.exit(main())
