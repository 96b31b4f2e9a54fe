"""The pictures of the landmarks' report: each face with its points and its depth."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.report.album import Album, Arrays, Face, Look, Picture
from facerecon.report.formats import palette

ZOOM = 4
"""Crops are shown so many times as large, so that points can be told apart."""

DEPTH_COLOURS = "viridis"
DEPTH_RANGE = 0.5
"""Depth is shown from so many of the crop's side behind the mean of the points to as many before it."""

TRUE, MODEL, HOG = (255, 255, 255), (60, 220, 90), (255, 120, 60)
"""The colours of points, RGB."""


@dataclass(frozen=True)
class Gallery:
    """Typical faces and worst ones (worst first) in one ``look``."""

    look: Look
    typical: tuple[Face, ...]
    worst: tuple[Face, ...]


def gallery(album: Album, samples: Arrays) -> Gallery:
    """All faces with their points and depth."""
    kinds = samples["kind"]
    shown = {
        kind: tuple(
            _face(album, samples, at, f"{kind.capitalize()} {place + 1}")
            for place, at in enumerate(np.flatnonzero(kinds == kind).tolist())
        )
        for kind in ("typical", "worst")
    }
    return Gallery(album.look, shown["typical"], shown["worst"])


def _face(album: Album, samples: Arrays, index: int, who: str) -> Face:
    image = samples["image"][index]
    tiles = [album.photo(enlarged(image), f"{who} as it was given", "crop")]
    for name, caption in (("points", "model"), ("hog", "HOG and ridge")):
        said = f"NME {nme(samples[name][index], samples['truth'][index]):.1f} %"
        picture = with_points(image, samples["truth"][index], samples[name][index], MODEL if name == "points" else HOG)
        tiles.append(album.photo(picture, f"{who}, points by {caption}, {said}", caption, said))
    for name, caption in (("depth", "depth, model"), ("true_depth", "depth, truth")):
        if np.isfinite(samples[name][index]).any():
            places = depth_places(samples[name][index])
            tiles.append(album.map(places, palette(DEPTH_COLOURS), f"{who}, {caption}", caption, ""))
    return Face(f"{who}, {str(samples['case'][index]).replace('_', ' ')}", tuple(tiles), (), ())


def nme(points: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """In per cent, as ``facerecon.tasks.landmarks.metrics`` says."""
    sides = truth[:, :2].max(axis=0) - truth[:, :2].min(axis=0)
    return float(100 * np.linalg.norm(points[:, :2] - truth[:, :2], axis=1).mean() / np.sqrt(np.prod(sides)))


def enlarged(image: Picture) -> Picture:
    """The crop uint8 [S, S, 3], ZOOM times as large, pixel by pixel."""
    return np.repeat(np.repeat(image, ZOOM, axis=0), ZOOM, axis=1)


def with_points(
    image: Picture, truth: NDArray[np.float32], points: NDArray[np.float32], colour: tuple[int, int, int]
) -> Picture:
    """The enlarged crop with a line from each true point to the one that was found, and both."""
    shown = enlarged(image).copy()
    fine = 4  # bits of a pixel's fraction

    def at(point: NDArray[np.float32]) -> tuple[int, int]:
        x, y = np.clip(np.rint((point[:2] * ZOOM - 0.5) * 2**fine), -(2**14), 2**14).astype(int).tolist()
        return x, y

    for true, found in zip(truth, points, strict=True):
        cv2.line(shown, at(true), at(found), colour, 1, cv2.LINE_AA, fine)
    for true, found in zip(truth, points, strict=True):
        cv2.circle(shown, at(true), 2**fine, TRUE, -1, cv2.LINE_AA, fine)
        cv2.circle(shown, at(found), int(1.6 * 2**fine), colour, -1, cv2.LINE_AA, fine)
    return shown


def depth_places(depth: NDArray[np.float32]) -> Picture:
    """Depth [S, S] as places among 256 colours, the first one where it is not known."""
    side = len(depth)
    share = np.clip(np.nan_to_num(depth, nan=-np.inf) / (2 * DEPTH_RANGE * side) + 0.5, 0, 1)
    return np.rint(share * 255).astype(np.uint8)


def grid(samples: Arrays) -> Picture:
    """A row a face: the crop, the points by model and by HOG, the model's depth and the true one, in gray."""
    rows = []
    for index in range(len(samples["image"])):
        image, truth = samples["image"][index], samples["truth"][index]
        depths = [
            np.repeat(np.repeat(depth_places(samples[name][index]), ZOOM, axis=0), ZOOM, axis=1)
            for name in ("depth", "true_depth")
        ]
        rows.append(
            np.hstack(
                [
                    enlarged(image),
                    with_points(image, truth, samples["points"][index], MODEL),
                    with_points(image, truth, samples["hog"][index], HOG),
                    *(np.repeat(each[..., None], 3, axis=2) for each in depths),
                ]
            )
        )
    return np.vstack(rows)
