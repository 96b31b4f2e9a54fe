"""Sample faces as files: one folder a person, a photograph and its truth side by side."""

import json
import multiprocessing
import os
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facerecon.data.synthetic.mesh import CanonicalMesh
from facerecon.data.synthetic.people import draw_identity, draw_scene
from facerecon.data.synthetic.render import Rendered, render
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, sha256_bytes, sha256_file, write_json
from facerecon.progress import track

VERSION = 1
"""Counts up whenever the same seed draws other pictures: files of another version are drawn anew."""


def write_dataset(
    folder: Path,
    model: Path,
    identities: int = 150,
    photos: int = 4,
    size: int = 256,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Draw ``photos`` photographs of each of ``identities`` people into ``folder``.

    Writes ``person_0000/photo_0.png`` (RGB, ``size`` x ``size``), beside it ``photo_0.npz`` (``landmarks`` [468, 3] and
    ``landmarks68`` [68, 3] float32: pixels and cm; to be loaded with ``allow_pickle=False``) and ``photo_0.json``
    (version, seed, size, digests of both, light, pose, expression, hair; the person's shape and skin). The JSON
    file comes last: a photograph whose JSON file fits the arguments and whose files have their digests is kept, so a
    killed run goes on where it was. The bytes depend on ``model``, ``size`` and ``seed`` alone. ``model`` is a
    ``face_landmarker.task`` bundle. Raises FaceReconError for arguments out of range or an unusable bundle.
    """
    if not 1 <= identities <= 10_000 or not 1 <= photos <= 100 or workers < 1:
        raise FaceReconError(
            f"identities={identities}, photos={photos}, workers={workers}: allowed are 1 to 10000, 1 to 100, at least 1"
        )
    if not 64 <= size <= 1024:
        raise FaceReconError(f"size is {size}: sample faces are drawn at 64 to 1024 pixels")
    CanonicalMesh.load(model)  # a bad bundle is reported here, once
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, Path(model), number, photos, size, seed) for number in range(identities)]
    for _ in track(_finished(jobs, workers), "drawing sample faces", total=len(jobs)):
        pass


def _finished(jobs: list[tuple[Path, Path, int, int, int, int]], workers: int) -> Iterable[None]:
    """Do the jobs, one item whenever one is done; the first error ends it."""
    # spawned, not forked: the caller may have threads (torch, progress bars) that do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        with _alike_on_all_processors():
            pending: set[Future[None]] = {pool.submit(write_person, *job) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


WORKER_ENVIRONMENT = {
    # the work is split over processes already
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # wider instructions than AVX2 round differently, and a pixel in a million falls on the other side
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENCV_CPU_DISABLE": "AVX512_COMMON,AVX512_SKX,AVX512_CNL,AVX512_CLX,AVX512_ICL",
}
"""What the libraries read when a worker loads them, before any code of ours runs there."""


@contextmanager
def _alike_on_all_processors() -> Iterator[None]:
    """Processes started within compute on one thread, with instructions that all x86-64 processors of today have."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@lru_cache(maxsize=1)
def _mesh(model: Path) -> CanonicalMesh:
    return CanonicalMesh.load(model)


def write_person(folder: Path, model: Path, number: int, photos: int, size: int, seed: int) -> None:
    """Write what is missing of one person's photographs."""
    for photo in range(photos):
        stem = folder / f"person_{number:04d}" / f"photo_{photo}"
        if not _whole(stem, size, seed):
            scene, identity = draw_scene(seed, number, photo), draw_identity(seed, number)
            _write_photo(stem, render(_mesh(model), identity, scene, size), _about(number, photo, size, seed))


def _about(number: int, photo: int, size: int, seed: int) -> dict[str, Any]:
    """What a photograph's JSON file says beside the digests."""
    return {
        "version": VERSION,
        "seed": seed,
        "size": size,
        "identity_number": number,
        "photo_number": photo,
        "identity": draw_identity(seed, number).describe(),
        "scene": draw_scene(seed, number, photo).describe(),
    }


def _write_photo(stem: Path, rendered: Rendered, about: dict[str, Any]) -> None:
    """The picture, the points, and then the JSON file that vouches for both."""
    picture, points = stem.with_suffix(".png"), stem.with_suffix(".npz")
    # made for filtered, noisy content: 6 % smaller than the default
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    encoded, content = cv2.imencode(".png", rendered.image[..., ::-1], options)
    if not encoded:
        raise FaceReconError(f"cannot encode {picture} as PNG; check the installation of OpenCV")
    with atomic_path(picture) as temporary:
        temporary.write_bytes(content.tobytes())
    with atomic_path(points) as temporary:
        _save_arrays(temporary, {"landmarks": rendered.landmarks, "landmarks68": rendered.landmarks68})
    write_json(
        stem.with_suffix(".json"),
        about | {"picture_sha256": sha256_bytes(content.tobytes()), "points_sha256": sha256_file(points)},
    )


def _save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """An npz file whose bytes depend on the arrays alone: ``np.savez`` would put the time into it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _whole(stem: Path, size: int, seed: int) -> bool:
    """Whether a photograph was written completely by this version with this size and seed."""
    try:
        about = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        fits = (about["version"], about["size"], about["seed"]) == (VERSION, size, seed)
        return (
            fits
            and about["picture_sha256"] == sha256_file(stem.with_suffix(".png"))
            and about["points_sha256"] == sha256_file(stem.with_suffix(".npz"))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
