"""How long looking up known clips takes: an inbox in which nothing is new.

From the project's root: ``python -m benchmarks.inbox [--count 10000]``. The clips are empty files with names of clips:
none is opened, so that it does not matter how long they are. Prints JSON: the count, and the median of the seconds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.command import as_command
from facerecon.data.collected.inbox import InboxSettings, KnownClips, look

FOLDERS = 20
"""Cameras, each with a folder of its own."""


def measure(count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Fill an inbox in ``folder`` with ``count`` known clips and look at it ``rounds`` times, each time from disk."""
    root, state, settings = folder / "inbox", folder / "state", InboxSettings()
    for number in range(count):
        path = root / f"camera{number % FOLDERS:02d}" / f"{number:06d}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    known = KnownClips(state, root)
    look(root, settings, known)
    time.sleep(3)  # what changed a moment ago is not kept as known
    for clip in look(root, settings, known, time.time() + settings.settle).new:
        known.add(clip.state, clip.uri.ljust(64))
    known.write()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        inbox = look(root, settings, KnownClips(state, root))
        seconds.append(time.perf_counter() - start)
        assert inbox.known == count
    return {"clips": count, "seconds": round(median(seconds), 3)}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.count, options.rounds, Path(folder))))


if __name__ == "__main__":
    as_command(main)
