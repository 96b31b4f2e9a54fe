"""Milliseconds a mask, by family and size, on one core.

From the project's root: ``python -m benchmarks.masks``. Prints JSON.
"""

import json
import statistics
import time

import cv2

from facerecon.corruption.masks import FAMILIES, LEVELS, draw_mask, draw_ratio
from facerecon.randomness import generator

COUNTS = {64: 300, 256: 90, 512: 30}
"""Size in pixels -> masks drawn of each family, levels in turn."""


def milliseconds(family: str, size: int, count: int) -> dict[str, float]:
    """The median and the 95th percentile of drawing ``count`` masks of ``family``, in milliseconds."""
    times = []
    for index in range(count + 3):
        rng = generator("benchmark", family, size, index)
        ratio = draw_ratio(1 + index % len(LEVELS), rng)
        start = time.perf_counter()
        draw_mask(family, size, ratio, rng)
        times.append((time.perf_counter() - start) * 1e3)
    warm = times[3:]
    return {"median": round(statistics.median(warm), 3), "p95": round(statistics.quantiles(warm, n=20)[-1], 3)}


def main() -> None:
    """Time every family at every size."""
    cv2.setNumThreads(1)
    figures = {
        family: {str(size): milliseconds(family, size, count) for size, count in COUNTS.items()} for family in FAMILIES
    }
    print(json.dumps({"unit": "milliseconds a mask, one core", "families": figures}, indent=2))


if __name__ == "__main__":
    main()
