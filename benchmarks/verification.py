"""How well an identity network tells people apart: the verification protocol of Labeled Faces in the Wild (LFW).

Huang et al., "Labeled Faces in the Wild", 2007, View 2: pairs of photos in folds; the threshold that is best on all
other folds decides on each fold. Embeddings are compared by their cosine, which is what the pipeline reports, and by
the distance (L2) of what the network returns, which is what dlib publishes its threshold for. Photos are aligned by
the FaceLandmarker's five points. In a photo with several faces the one nearest the centre counts; where none is found,
the centre of the photo stands for the face, so that every published pair is judged.

    python benchmarks/verification.py --lfw DIR --pairs FILE [--network dlib] [--distance 0.6]
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.sources.lfw import Pair, read_pairs
from facerecon.errors import FaceReconError
from facerecon.images import read_rgb
from facerecon.perception.identity import IdentityNetwork, identity_names, load_identity
from facerecon.perception.landmarks import FaceLandmarker, five_points
from facerecon.progress import track
from facerecon.weights import weights_path

BATCH = 32

CENTRE = np.array([[0.417, 0.45], [0.583, 0.45], [0.5, 0.556], [0.429, 0.631], [0.571, 0.631]], dtype=np.float32)
"""Where the five points lie in LFW's photos on average, as shares of width and height: for photos without a face."""


def find_points(image: NDArray[np.uint8], landmarker: FaceLandmarker) -> NDArray[np.float32] | None:
    """The five points [5, 2] of the face nearest to the centre of an RGB image [H, W, 3], None without a face."""
    centre = np.array(image.shape[1::-1], dtype=np.float32) / 2
    faces = [five_points(points) for points, _ in landmarker.detect(image)]
    return min(faces, key=lambda points: float(np.hypot(*(points.mean(0) - centre))), default=None)


def embed_photos(
    root: Path, photos: list[str], network: IdentityNetwork
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """The embedding of each photo, of the network's own length, and the photos in which no face was found."""
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
                result = network.describe(torch.stack(images), torch.stack(fives)).numpy()
                embeddings.update(zip(names, result, strict=True))
                batch = []
    return embeddings, missing


def best_threshold(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The threshold with the most right decisions "same person if score >= threshold"."""
    order = np.argsort(-scores)
    # accepting the first k: right are the same among them and the different among the rest
    right = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))])
    k = int(right.argmax())
    ordered = np.concatenate([[scores.max() + 1], scores[order], [scores.min() - 1]])
    return float(np.mean(ordered[k : k + 2]))


def area_under_curve(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The share of (same, different) pairs of pairs in which the same person has the larger score."""
    different = np.sort(scores[~same])
    below = np.searchsorted(different, scores[same], side="left")
    up_to = np.searchsorted(different, scores[same], side="right")
    return float((below + up_to).mean() / 2 / len(different))


def verify(pairs: list[Pair], scores: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy over the folds (mean and standard error), AUC over all pairs, and the mean threshold.

    ``scores`` [pairs] are the larger the more alike the two photos of a pair are.
    """
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    thresholds, accuracies = [], []
    for held_out in np.unique(fold):
        inside = fold == held_out
        thresholds.append(best_threshold(scores[~inside], same[~inside]))
        accuracies.append(float(((scores[inside] >= thresholds[-1]) == same[inside]).mean()))
    return {
        "accuracy": float(np.mean(accuracies)),
        "accuracy_standard_error": float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
        "auc": area_under_curve(scores, same),
        "threshold": float(np.mean(thresholds)),
    }


def compare(
    pairs: list[Pair], embeddings: dict[str, NDArray[np.float32]], distance: float | None
) -> dict[str, dict[str, float]]:
    """The figures by cosine and by distance, with the accuracy at the fixed threshold ``distance`` if one is given."""
    first, second = (
        np.stack([embeddings[photo] for photo in photos]).astype(np.float64)
        for photos in zip(*((pair.first, pair.second) for pair in pairs), strict=True)
    )
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    apart = np.linalg.norm(first - second, axis=1)
    by_distance = verify(pairs, -apart)
    by_distance["threshold"] *= -1
    if distance is not None:
        same = np.array([pair.same for pair in pairs])
        by_distance[f"accuracy_at_{distance:g}"] = float(((apart <= distance) == same).mean())
    return {"cosine": verify(pairs, (first * second).sum(1) / lengths), "distance": by_distance}


def run(lfw: Path, pairs_file: Path, name: str, distance: float | None) -> dict[str, Any]:
    """The figures of the network ``name`` on the pairs of ``pairs_file`` of the photos below ``lfw``."""
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
        "pairs": len(pairs),
        "folds": len({pair.fold for pair in pairs}),
        **compare(pairs, embeddings, distance),
    }


def main() -> int:
    """Print the figures as JSON, then as a line."""
    parser = argparse.ArgumentParser(description="LFW verification accuracy and AUC of an identity network.")
    parser.add_argument("--lfw", type=Path, required=True, help="LFW's folder, one folder a person")
    parser.add_argument("--pairs", type=Path, required=True, help="the pairs in LFW's own format")
    parser.add_argument("--network", default="dlib", choices=identity_names())
    parser.add_argument("--distance", type=float, help="a fixed threshold on the distance, judged as well")
    given = parser.parse_args()
    try:
        result = run(given.lfw, given.pairs, given.network, given.distance)
    except FaceReconError as error:
        error.show()
        return error.exit_code
    print(json.dumps(result, indent=2))
    for measure in ("cosine", "distance"):
        figures = result[measure]
        print(
            f"{result['network']} by {measure}: accuracy {figures['accuracy']:.4f} ± "
            f"{figures['accuracy_standard_error']:.4f} over {result['folds']} folds, AUC {figures['auc']:.4f}, "
            f"threshold {figures['threshold']:.3f}"
        )
    print(f"{len(result['photos_without_face'])} of {result['photos']} photos without a face")
    return 0


if __name__ == "__main__":
    sys.exit(main())
