"""Near-duplicates: false alarms and recall of the perceptual hash alone and confirmed by pixels, and the cost.

For false alarms, one photo of each person is a split of its own: a pair is a false alarm, or two names for one photo.
For recall, copies of some photos are changed (re-encoded, resized, brightened, cropped), aligned and searched. Prints
JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.command import as_command
from benchmarks.machine import peak_mib, reset_peak_mib
from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.duplicates import correlation, find_pairs, gray, hashes, mirrored_hashes, propose
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.validation.settings import NearDuplicateSettings
from facerecon.randomness import unit_interval
from facerecon.weights import weights_path


def _jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _half(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _cropped(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    y, x = (round(side * share) for side in image.shape[:2])
    return np.ascontiguousarray(image[y : image.shape[0] - y, x : image.shape[1] - x])


def _brighter(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(image, alpha=1.2, beta=10), np.uint8)


def _covered(image: NDArray[np.uint8], top: float, bottom: float, left: float, right: float) -> NDArray[np.uint8]:
    """The image with a black bar or box, whose borders are shares of its height and width."""
    height, width = image.shape[:2]
    covered = image.copy()
    covered[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 0
    return covered


CHANGES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "jpeg_50": lambda image: _jpeg(image, 50),
    "half_size": _half,
    "brighter": _brighter,
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "mirrored_jpeg_50": lambda image: _jpeg(np.ascontiguousarray(image[:, ::-1]), 50),
    "bar_over_the_eyes": lambda image: _covered(image, 0.40, 0.50, 0.2, 0.8),
    "box_over_the_mouth": lambda image: _covered(image, 0.58, 0.72, 0.38, 0.62),
    "bar_at_the_bottom": lambda image: _covered(image, 0.75, 1, 0, 1),
    "cropped_2_percent": lambda image: _cropped(image, 0.02),
    "all_of_them": lambda image: _jpeg(_half(_brighter(_cropped(image, 0.02))), 50),
}


def false_alarms(faces: Manifest, settings: NearDuplicateSettings) -> dict[str, Any]:
    """Among one photo of each person: how many have another within the distance, and the pairs that are confirmed."""
    alone = replace(faces, faces=faces.faces.drop_duplicates("identity").sort_values("uri").reset_index(drop=True))
    rows = alone.faces.assign(split=alone.faces["identity"])
    everyone = np.arange(len(rows)).astype(str).astype(object)
    start = time.process_time()
    proposed = list(propose(hashes(rows), everyone, settings.max_distance))
    compared = time.process_time() - start
    with_another = {row for first, second, _ in proposed for row in (first, second)}
    start = time.process_time()
    confirmed = find_pairs(replace(alone, faces=rows), settings)
    return {
        "people": len(rows),
        "with_another_within_the_distance": len(with_another),
        "pairs_proposed": len(proposed),
        "pairs_confirmed": len(confirmed),
        "confirmed": confirmed.to_dict("records"),
        "seconds_hashes": compared,
        "seconds_all": time.process_time() - start,
    }


def recall(
    faces: Manifest, settings: NearDuplicateSettings, alignment: AlignmentSettings, count: int
) -> dict[str, Any]:
    """Changed copies of ``count`` photos, one of each person, in another split: how many are proposed and confirmed."""
    rows = faces.faces.drop_duplicates("identity")
    chosen = rows.loc[rows["uri"].map(lambda uri: unit_interval("copy", uri)).sort_values().index[:count]]
    result: dict[str, Any] = {}
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            for row in chosen.itertuples():
                target = place / "photos" / f"{row.face}.png"
                target.parent.mkdir(exist_ok=True)
                photo = cv2.imread(f"{faces.sources[row.source].root}/{row.uri}")
                cv2.imwrite(str(target), change(np.asarray(photo, np.uint8)))
            listed = ingest(DataSettings(path=str(place / "photos")), place, place / "frames")
            copies = align(listed, alignment, weights_path("face_landmarker"), place / "store")
            originals = {
                Path(uri).stem: face for uri, face in zip(copies.faces["uri"], copies.faces["face"], strict=True)
            }
            aligned = chosen[chosen["face"].isin(originals)]
            close, confirmed = _found(faces, copies, aligned, originals, settings)
        result[name] = {"aligned": len(aligned), "within_the_distance": close, "confirmed": confirmed}
    return result


def _found(
    faces: Manifest, copies: Manifest, aligned: pd.DataFrame, copy_of: dict[str, str], settings: NearDuplicateSettings
) -> tuple[int, int]:
    """How many of ``aligned`` have their own copy within the distance, and confirmed, as it is or mirrored."""
    by_name = dict(zip(copies.faces["face"], hashes(copies.faces), strict=True))
    names = copies.faces["face"].tolist()
    turned_by_name = dict(zip(names, mirrored_hashes(copies.aligned_faces, names), strict=True))
    close = confirmed = 0
    for face, phash in zip(aligned["face"], hashes(aligned), strict=True):
        copy = copy_of[face]
        one, two = gray(faces.aligned_faces, face), gray(copies.aligned_faces, copy)
        ways = [
            (by_name[copy], two, settings.min_correlation),
            (turned_by_name[copy], two[:, ::-1], settings.min_mirrored_correlation),
        ]
        near = [way for way in ways if int(np.bitwise_count(phash ^ way[0])) <= settings.max_distance]
        close += bool(near)
        confirmed += any(correlation(one, shown) >= least for _, shown, least in near)
    return close, confirmed


def cost(count: int, settings: NearDuplicateSettings) -> dict[str, Any]:
    """Seconds of one core that it takes to compare ``count`` random hashes in four splits."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, count, dtype=np.uint64)
    groups = rng.choice(np.array(["train", "val", "gate", "test"], dtype=object), count, p=[0.7, 0.1, 0.1, 0.1])
    before = reset_peak_mib()
    start = time.process_time()
    found = sum(1 for _ in propose(values, groups, settings.max_distance))
    return {
        "faces": count,
        "seconds": time.process_time() - start,
        "pairs": found,
        "more_memory_mib": peak_mib() - before,
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the layout of LFW")
    parser.add_argument("--store", type=Path, help="keep the aligned faces here; what lies there is not aligned again")
    parser.add_argument("--copies", type=int, default=200, help="photos that are copied, for each kind of change")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    settings = NearDuplicateSettings()
    alignment = AlignmentSettings(size=arguments.size, workers=arguments.workers)
    with tempfile.TemporaryDirectory() as folder:
        listed = ingest(DataSettings(source="lfw", path=str(arguments.data)), Path.cwd(), Path(folder) / "frames")
        store = arguments.store or Path(folder) / "store"
        faces = align(listed, alignment, weights_path("face_landmarker"), store)
        result = {
            "settings": settings.model_dump(),
            "cost": cost(100_000, settings),
            "false_alarms": false_alarms(faces, settings),
            "recall": recall(faces, settings, alignment, arguments.copies),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    as_command(main)
