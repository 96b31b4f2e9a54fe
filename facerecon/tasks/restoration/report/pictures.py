"""The pictures of restoration's report: each face as it is, as it was given, and as it was made."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from facerecon.report.album import Album, Arrays, Face, Look, Picture, in_budget, places, reduced
from facerecon.report.formats import decibel_text, palette
from facerecon.tasks.restoration.details import RestorationDetails

ERROR_SCALE = 64
"""The error, of 255, at which the error map's colours end. The same for every face, so that maps compare."""

ERROR_COLOURS, CONFIDENCE_COLOURS = "inferno", "viridis"


@dataclass(frozen=True)
class Gallery:
    """Typical faces, worst ones (worst first), and gate faces by challenger and champion, all in one ``look``."""

    look: Look
    typical: tuple[Face, ...]
    worst: tuple[Face, ...]
    compared: tuple[Face, ...]


def gallery(samples: Arrays, comparison: Arrays, details: RestorationDetails, champion: str) -> Gallery:
    """All pictures of faces; the numbers beside them are of the full arrays. ``champion`` is what the champion is
    called."""

    def made(album: Album) -> Gallery:
        kinds = samples["kind"]
        shown = {
            kind: tuple(
                _face(album, samples, at, f"{kind.capitalize()} {place + 1}", details)
                for place, at in enumerate(np.flatnonzero(kinds == kind).tolist())
            )
            for kind in ("typical", "worst")
        }
        count = len(comparison.get("original", ()))
        compared = tuple(_compared(album, comparison, at, champion) for at in range(count))
        return Gallery(album.look, shown["typical"], shown["worst"], compared)

    return in_budget(samples["original"].shape[1], made)


def _face(album: Album, samples: Arrays, index: int, who: str, details: RestorationDetails) -> Face:
    original, degraded, restored, ridge = (
        samples[name][index] for name in ("original", "degraded", "restored", "ridge")
    )
    before, after = (f"LPIPS {float(samples[name][index]):.3f}" for name in ("lpips_input", "lpips"))
    error = samples["error"][index]
    mean = f"{float(error.mean()):.0f}"
    tiles = [
        album.photo(original, f"{who}, original photograph", "original"),
        album.photo(degraded, f"{who} as it was given, {before}", "input", before),
        album.photo(restored, f"{who} restored by the model, {after}", "model", after),
        album.photo(ridge, f"{who} restored by ridge regression, {_psnr(ridge, original)} dB", "ridge"),
        album.map(
            reduced(places(error, ERROR_SCALE), album.look.side, Image.Resampling.NEAREST),
            palette(ERROR_COLOURS),
            f"{who}, map of the model's error, {mean} of 255 on average",
            "error",
            f"{mean} / 255",
        ),
    ]
    if details.confidence:
        confidence = samples["confidence"][index]
        said = f"{float(confidence.mean()) / 255:.2f}"
        tiles.append(
            album.map(
                reduced(confidence, album.look.side, Image.Resampling.NEAREST),
                palette(CONFIDENCE_COLOURS),
                f"{who}, map of the model's confidence, {said} on average",
                "confidence",
                said,
            )
        )
    return Face(f"{who}, {samples['case'][index]}", tuple(tiles), (), ())


def _compared(album: Album, comparison: Arrays, index: int, champion: str) -> Face:
    """A gate face as the challenger, which is this model, and the champion restore it."""
    original, degraded, *made = (comparison[name][index] for name in ("original", "degraded", "challenger", "champion"))
    who = f"Gate face {index + 1}"
    tiles = [
        album.photo(original, f"{who}, original photograph", "original"),
        album.photo(degraded, f"{who} as it was given", "input", f"{_psnr(degraded, original)} dB"),
    ]
    for image, name in zip(made, ("this model", champion), strict=True):
        psnr = _psnr(image, original)
        tiles.append(album.photo(image, f"{who} by {name}, {psnr} dB", name, f"{psnr} dB"))
    return Face(who, tuple(tiles), (), ())


def _psnr(image: Picture, truth: Picture) -> str:
    error: Any = np.mean((image.astype(np.float64) - truth) ** 2)
    return decibel_text(float("inf") if error == 0 else float(10 * np.log10(255**2 / error)))
