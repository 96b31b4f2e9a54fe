"""The data side: speed beside the bare detector, time and memory against the number of faces, the loader.

From the project's root: ``python -m benchmarks.data speed`` (or ``growth``, ``memory``, ``loader``). Up to 1,000 faces
are drawn; further ones are perturbed copies with other bytes and the identity of their original. Prints JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.command import as_command
from benchmarks.inpainting import InpaintingRun
from benchmarks.machine import PeakOfChildren, peak_mib
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.datasets import StepSampler
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.images import read_rgb
from facerecon.models import build_model
from facerecon.perception.landmarks import FaceLandmarker
from facerecon.progress import track
from facerecon.randomness import generator
from facerecon.synthetic import write_dataset
from facerecon.tasks.inpainting.dataset import TrainingFaces, collate
from facerecon.weights import weights_path

DRAWN = 1000
PHOTOS = 4
SIZE = 256


def draw_faces(folder: Path, count: int) -> None:
    """Write ``count`` JPEGs of drawn people into ``folder``: the first 1,000 as drawn, the others perturbed copies."""
    originals = folder.parent / "drawn"
    write_dataset(originals, weights_path("face_landmarker"), min(count, DRAWN) // PHOTOS, PHOTOS, SIZE)
    drawn = sorted(originals.rglob("*.jpg"))
    for number in track(range(count), "writing photos"):
        path = drawn[number % len(drawn)]
        target = folder / path.parent.name / f"{path.stem}_{number // len(drawn):03d}.jpg"
        if target.is_file():
            continue
        image = read_rgb(path)
        if number >= len(drawn):
            rng = generator("perturbed", number)
            shift = np.array([[1, 0, rng.uniform(-6, 6)], [0, 1, rng.uniform(-6, 6)]], np.float32)
            moved = cv2.warpAffine(image, shift, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
            image = np.clip(moved * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8)
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


def align_folder(photos: Path, state: Path, workers: int, most: int | None = None) -> Manifest:
    """Ingest and align the photos; the store lies in ``state``."""
    listed = ingest(DataSettings(path=str(photos), max_faces=most), photos, state / "frames")
    return align(listed, AlignmentSettings(workers=workers), weights_path("face_landmarker"), state / "crops")


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock time of ``work``."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare(photos: list[np.ndarray]) -> None:
    """FaceLandmarker alone, on images in memory, in one process."""
    with FaceLandmarker(weights_path("face_landmarker")) as landmarker:
        for image in photos:
            landmarker.detect(image)


def speed(folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """Faces a second of ingest and align, with one worker, and of the bare detector; they take turns."""
    draw_faces(folder, count)
    images = [read_rgb(path) for path in sorted(folder.rglob("*.jpg"))]
    times: dict[str, list[float]] = {"bare_detector": [], "ingest_and_align": []}
    for _ in range(repeats):
        times["bare_detector"].append(seconds(lambda: bare(images)))
        with tempfile.TemporaryDirectory() as state:
            times["ingest_and_align"].append(seconds(lambda: align_folder(folder, Path(state), workers=1)))
    rates = {name: count / median(values) for name, values in times.items()}
    ratio = median(one / other for one, other in zip(*times.values(), strict=True))
    return {"photos": count, "faces_per_second": rates, "ours_over_bare": ratio, "seconds": times}


def growth(folder: Path, count: int, workers: int) -> dict[str, Any]:
    """Seconds of the first run, of one with 1 % more photos, and of one in which nothing is new."""
    draw_faces(folder, count)
    times = {}
    with tempfile.TemporaryDirectory() as state:
        more = count + count // 100
        for name, photos in (("first", count), ("one_percent_more", more), ("nothing_new", more)):
            draw_faces(folder, photos)
            times[name] = seconds(lambda: align_folder(folder, Path(state), workers))
    share = times["one_percent_more"] / times["first"]
    return {"photos": count, "seconds": times, "one_percent_costs": share}


def memory(folder: Path, counts: list[int], workers: int) -> dict[str, Any]:
    """Peak memory at each number of faces, each in a process of its own."""
    draw_faces(folder, max(counts))
    curve = []
    for count in counts:
        command = [sys.executable, "-m", "benchmarks.data", "once", "--folder", str(folder), "--count", str(count)]
        done = subprocess.run([*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True, check=True)
        curve.append(json.loads(done.stdout))
    return {"curve": curve}


def once(folder: Path, count: int, workers: int) -> dict[str, Any]:
    """Ingest and align ``count`` of the photos: the peak memory of this process and of its largest worker."""
    with tempfile.TemporaryDirectory() as state, PeakOfChildren() as workers_peak:
        start = time.perf_counter()
        manifest = align_folder(folder, Path(state), workers, count)
        elapsed = time.perf_counter() - start
    peaks = {"this_process_mib": round(peak_mib()), "worker_mib": round(workers_peak.mib) or None}
    return {"photos": count, "faces": len(manifest.faces), "seconds": round(elapsed, 1), **peaks}


def loader(folder: Path, count: int, steps: int) -> dict[str, Any]:
    """The share of a training step that making its batch takes, without loader workers."""
    import torch

    draw_faces(folder, count)
    model = {"family": "unet_attention", "options": {"features": [16, 32, 64, 128, 256]}}
    settings = InpaintingRun.model_validate({"model": model})
    with tempfile.TemporaryDirectory() as state:
        manifest = align_folder(folder, Path(state), workers=2)
        masks = TrainingMasks(settings.masks, settings.alignment.size)
        faces = TrainingFaces(manifest, settings.training.augmentation, masks, seed=0)
        network = build_model(settings.model.family, settings.model.options)
        optimizer = torch.optim.AdamW(network.parameters())
        making, training = [], []
        for draws in StepSampler(len(faces), settings.training.batch_size, steps, seed=0):
            start = time.perf_counter()
            batch = collate(faces.__getitems__(draws))
            made = time.perf_counter()
            output = network(batch.image, batch.mask)
            (output.reconstruction - batch.image).abs().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            making.append(made - start)
            training.append(time.perf_counter() - made)
    batch_ms, step_ms = median(making) * 1e3, median(training) * 1e3
    return {
        "batch_size": settings.training.batch_size,
        "making_a_batch_ms": batch_ms,
        "training_on_it_ms": step_ms,
        "share": batch_ms / (batch_ms + step_ms),
        "loss": "L1 only: the perceptual and identity terms make a step longer and the share smaller",
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["speed", "growth", "memory", "loader", "once"])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--counts", default="1000,10000,100000", help="numbers of faces for `memory`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the photos are kept; else a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facerecon-data-") as temporary:
        folder = args.folder or Path(temporary) / "photos"
        if args.what == "once":
            figures = once(folder, args.count, args.workers)
        elif args.what == "memory":
            figures = memory(folder, [int(count) for count in args.counts.split(",")], args.workers)
        elif args.what == "growth":
            figures = growth(folder, args.count, args.workers)
        elif args.what == "loader":
            figures = loader(folder, args.count, steps=40)
        else:
            figures = speed(folder, args.count, args.repeats)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    as_command(main)
