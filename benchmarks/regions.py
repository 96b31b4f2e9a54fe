"""Does a region that is named cover what hides a face? `python -m benchmarks.regions FOLDER [--faces 200]`.

Glasses and masks are pasted onto photographs; the face is found anew in each, as in use, and the region that is named
is laid over it. FOLDER holds photographs of faces; without one the sample faces are taken.
"""

import argparse
from pathlib import Path

import numpy as np

from facerecon.data.geometry import face_square
from facerecon.data.listing import kind_of, walk
from facerecon.formats import Kind
from facerecon.images import UnreadableImageError, read_rgb
from facerecon.inference.regions import DILATION, hide_region
from facerecon.perception.landmarks import FaceLandmarker, Points, sixty_eight
from facerecon.randomness import unit_interval
from facerecon.synthetic.accessories import ACCESSORIES, paste
from facerecon.weights import weights_path
from facerecon.workspace import PROJECT

REGION = {name: "glasses" if "glasses" in name else "lower-face" for name in ACCESSORIES}
"""The region that a user would name for each."""


def main() -> None:
    """Print a table: an accessory a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT / "data" / "sample")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--dilation", type=float, default=DILATION)
    options = parser.parse_args()
    photos = [entry.path for entry in walk(options.folder) if kind_of(entry.path) is Kind.PICTURE]
    photos.sort(key=lambda path: unit_interval(path.name))
    print("| pasted | region | faces | not found | covered, mean | covered, 5th percentile | area, mean times |")
    print("|---|---|---|---|---|---|---|")
    with FaceLandmarker(weights_path("face_landmarker")) as detector:
        for name, rows in measured(photos, options.faces, options.dilation, detector).items():
            found = np.array([row for row in rows if row is not None])
            covered, area = found.T
            print(
                f"| {name} | {REGION[name]} | {len(found)} | {len(rows) - len(found)} | {covered.mean():.1%} "
                f"| {np.percentile(covered, 5):.1%} | {area.mean():.2f} |"
            )


def measured(
    photos: list[Path], most: int, dilation: float, detector: FaceLandmarker
) -> dict[str, list[tuple[float, float] | None]]:
    """Of each accessory on each of ``most`` photographs: the share of it that its region covers, and the region's area
    over its own; None where no face was found with it on."""
    rows: dict[str, list[tuple[float, float] | None]] = {name: [] for name in ACCESSORIES}
    for path in photos:
        if len(rows["sunglasses"]) == most:
            break
        try:
            image = read_rgb(path)
        except UnreadableImageError:
            continue
        points = largest(image, detector)
        if points is None:
            continue
        for name in ACCESSORIES:
            worn, truth = paste(name, image, points)
            again = largest(worn, detector)
            if again is None:
                rows[name].append(None)
                continue
            region = hide_region(REGION[name], again, image.shape[:2], dilation)
            rows[name].append((float((region & truth).sum() / truth.sum()), float(region.sum() / truth.sum())))
    return rows


def largest(image: np.ndarray, detector: FaceLandmarker) -> Points | None:
    """The 68 points of the largest face, None if there is none."""
    faces = [sixty_eight(points)[:, :2] for points, _ in detector.detect(image)]
    return max(faces, key=lambda points: face_square(points).side, default=None)


if __name__ == "__main__":
    main()
