"""How well an identity network tells people apart: the verification protocol of Labeled Faces in the Wild (LFW).

Huang et al., "Labeled Faces in the Wild", 2007, View 2: pairs of photos in folds; the threshold on the cosine that is
best on all other folds decides on each fold. Photos are aligned by the FaceLandmarker's five points. In a photo with
several faces the one nearest the centre counts; where none is found, the centre of the photo stands for the face, so
that every published pair is judged.

    python benchmarks/verification.py --lfw DIR --pairs FILE [--network sface]
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.images import read_rgb
from facerecon.data.landmarks import FaceLandmarker, five_points
from facerecon.errors import FaceReconError
from facerecon.perception.identity import IdentityNetwork, identity_names, load_identity
from facerecon.progress import track
from facerecon.weights import weights_path

BATCH = 32

CENTRE = np.array([[0.417, 0.45], [0.583, 0.45], [0.5, 0.556], [0.429, 0.631], [0.571, 0.631]], dtype=np.float32)
"""Where the five points lie in LFW's photos on average, as shares of width and height: for photos without a face."""


@dataclass(frozen=True)
class Pair:
    """Two photos by their paths below LFW's folder, whether they show one person, and the fold, from 0."""

    first: str
    second: str
    same: bool
    fold: int


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file in LFW's own format: folds, for each so many matched and then mismatched pairs."""
    lines = path.read_text(encoding="utf-8").splitlines()
    folds, each = map(int, lines[0].split())
    rows = [line.split() for line in lines[1:] if line.strip()]
    if len(rows) != folds * each * 2:
        raise FaceReconError(f"{path} announces {folds * each * 2} pairs and has {len(rows)}: download it again")
    pairs = []
    for index, row in enumerate(rows):
        fold = index // (2 * each)
        if len(row) == 3:
            pairs.append(Pair(_photo(row[0], row[1]), _photo(row[0], row[2]), True, fold))
        else:
            pairs.append(Pair(_photo(row[0], row[1]), _photo(row[2], row[3]), False, fold))
    return pairs


def _photo(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


def find_points(image: NDArray[np.uint8], landmarker: FaceLandmarker) -> NDArray[np.float32] | None:
    """The five points [5, 2] of the face nearest to the centre of an RGB image [H, W, 3], None without a face."""
    centre = np.array(image.shape[1::-1], dtype=np.float32) / 2
    faces = [five_points(points) for points, _ in landmarker.detect(image)]
    return min(faces, key=lambda points: float(np.hypot(*(points.mean(0) - centre))), default=None)


def embed_photos(
    root: Path, photos: list[str], network: IdentityNetwork
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """The embedding of each photo, and the photos in which no face was found."""
    embeddings: dict[str, NDArray[np.float32]] = {}
    missing = []
    batch: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    with FaceLandmarker(weights_path("face_landmarker")) as landmarker, torch.inference_mode():
        for index, photo in enumerate(track(photos, "embedding photos", len(photos))):
            image = read_rgb(root / photo)
            points = find_points(image, landmarker)
            if points is None:
                missing.append(photo)
                points = CENTRE * np.array(image.shape[1::-1], dtype=np.float32)
            pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1
            batch.append((photo, pixels, torch.from_numpy(points)))
            if len(batch) == BATCH or index == len(photos) - 1:
                names, images, fives = zip(*batch, strict=True)
                result = network.embed(torch.stack(images), torch.stack(fives)).numpy()
                embeddings.update(zip(names, result, strict=True))
                batch = []
    return embeddings, missing


def best_threshold(cosines: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The threshold with the most right decisions "same person if cosine >= threshold"."""
    order = np.argsort(-cosines)
    # accepting the first k: right are the same among them and the different among the rest
    right = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))])
    k = int(right.argmax())
    ordered = np.concatenate([[np.inf], cosines[order], [-np.inf]])
    return float(np.mean(np.clip(ordered[k : k + 2], -1, 1)))


def area_under_curve(cosines: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The share of (same, different) pairs of pairs in which the same person has the larger cosine."""
    different = np.sort(cosines[~same])
    below = np.searchsorted(different, cosines[same], side="left")
    up_to = np.searchsorted(different, cosines[same], side="right")
    return float((below + up_to).mean() / 2 / len(different))


def verify(pairs: list[Pair], embeddings: dict[str, NDArray[np.float32]]) -> dict[str, float | int]:
    """Accuracy over the folds (mean and standard error), AUC over all pairs, and the mean threshold."""
    cosines = np.array([float(embeddings[p.first] @ embeddings[p.second]) for p in pairs])
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    thresholds, accuracies = [], []
    for held_out in np.unique(fold):
        inside = fold == held_out
        thresholds.append(best_threshold(cosines[~inside], same[~inside]))
        accuracies.append(float(((cosines[inside] >= thresholds[-1]) == same[inside]).mean()))
    return {
        "pairs": len(pairs),
        "folds": len(accuracies),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_standard_error": float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
        "auc": area_under_curve(cosines, same),
        "threshold": float(np.mean(thresholds)),
    }


def run(lfw: Path, pairs_file: Path, name: str) -> dict[str, object]:
    """The figures of the network ``name`` on the pairs of ``pairs_file`` of the photos below ``lfw``."""
    if not pairs_file.is_file():
        raise FaceReconError(f"--pairs: there is no file {pairs_file}: give LFW's pairs.txt of View 2")
    pairs = read_pairs(pairs_file)
    photos = sorted({photo for pair in pairs for photo in (pair.first, pair.second)})
    absent = [photo for photo in photos if not (lfw / photo).is_file()]
    if absent:
        raise FaceReconError(f"--lfw: {len(absent)} of {len(photos)} photos are not below {lfw}, first {absent[0]}")
    network = load_identity(name)
    start = time.perf_counter()
    embeddings, missing = embed_photos(lfw, photos, network)
    return {
        "network": name,
        "photos": len(photos),
        "photos_without_face": missing,
        "seconds": round(time.perf_counter() - start, 1),
        **verify(pairs, embeddings),
    }


def main() -> int:
    """Print the figures as JSON, then as a line."""
    parser = argparse.ArgumentParser(description="LFW verification accuracy and AUC of an identity network.")
    parser.add_argument("--lfw", type=Path, required=True, help="LFW's folder, one folder a person")
    parser.add_argument("--pairs", type=Path, required=True, help="the pairs in LFW's own format")
    parser.add_argument("--network", default="sface", choices=identity_names())
    given = parser.parse_args()
    try:
        result = run(given.lfw, given.pairs, given.network)
    except FaceReconError as error:
        error.show()
        return error.exit_code
    print(json.dumps(result, indent=2))
    print(
        f"{result['network']}: accuracy {result['accuracy']:.4f} ± {result['accuracy_standard_error']:.4f} over "
        f"{result['folds']} folds, AUC {result['auc']:.4f}, threshold {result['threshold']:.3f}, "
        f"{len(result['photos_without_face'])} of {result['photos']} photos without a face"  # type: ignore[arg-type]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
