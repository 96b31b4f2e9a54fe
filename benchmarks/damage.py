"""Damaged pixels: the share of damaged copies of photos that is told, by format, and intact copies that are refused.

A copy has one random bit flipped, or one block of 512 bytes replaced by random ones, anywhere in the file. Prints JSON.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.command import as_command
from facerecon.images import UnreadableImageError, read_rgb

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 90}),
    "jpeg_progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "jpeg_with_restarts": ("JPEG", {"quality": 90, "restart_marker_blocks": 8}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 80}),
    "webp_lossless": ("WEBP", {"lossless": True}),
    "tiff_lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff_lzw_predictor": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    "tiff_deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff": ("TIFF", {}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "jpeg_2000": ("JPEG2000", {}),
    "avif": ("AVIF", {}),
    "heic": ("HEIF", {}),
}
"""Each with Pillow's name of the format and how it is written."""

_BLOCK = 512


def shares(photos: list[Path], encoding: str, options: dict[str, Any], copies: int) -> dict[str, float]:
    """Of one format: intact copies refused, and of damaged ones the shares that are told, and that pass with pixels
    off by more than two levels on average."""
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("intact_refused", "flips_told", "flips_passed_off", "blocks_told", "blocks_passed_off"), 0)
    for photo in photos:
        stream = io.BytesIO()
        with Image.open(photo) as image:
            image.convert("RGB").save(stream, encoding, **options)
        whole = stream.getvalue()
        try:
            intact = read_rgb(whole).astype(int)
        except UnreadableImageError:
            counts["intact_refused"] += 1
            continue
        for kind in ["flips"] * copies + ["blocks"] * copies:
            broken = bytearray(whole)
            if kind == "flips":
                broken[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
            else:
                start = int(rng.integers(len(whole) - _BLOCK))
                broken[start : start + _BLOCK] = rng.bytes(_BLOCK)
            try:
                read = read_rgb(bytes(broken)).astype(int)
            except UnreadableImageError:
                counts[f"{kind}_told"] += 1
            else:
                off = read.shape != intact.shape or np.abs(read - intact).mean() > 2
                counts[f"{kind}_passed_off"] += int(off)
    whole_number = {"intact": len(photos), "intact_refused": counts.pop("intact_refused")}
    return whole_number | {name: round(count / (len(photos) * copies), 3) for name, count in counts.items()}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--copies", type=int, default=10, help="damaged copies of a photo, of each kind")
    arguments = parser.parse_args()
    found = sorted(arguments.data.rglob("*.jpg"))
    photos = found[:: max(1, len(found) // arguments.photos)][: arguments.photos]
    print(json.dumps({name: shares(photos, *how, arguments.copies) for name, how in VARIANTS.items()}, indent=2))


if __name__ == "__main__":
    as_command(main)
