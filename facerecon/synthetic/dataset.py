"""Sample faces as files: one folder a person, with the photographs and the truth about them."""

import json
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.drawn import DEPTH_UNIT, SHAPE, TRUTH, read_shapes, shape_of
from facerecon.errors import FaceReconError
from facerecon.files import arrays_digest, atomic_path, sha256_bytes, sha256_file, write_text
from facerecon.progress import track
from facerecon.synthetic import lights
from facerecon.synthetic.mesh import CanonicalMesh
from facerecon.synthetic.people import Scene, draw_identity, draw_scene
from facerecon.synthetic.render import Rendered, render
from facerecon.synthetic.workers import in_workers

VERSION = 2
"""Counts up whenever the same seed draws other pictures: files of another version are drawn anew."""

SHAPE_VERSION = 1
"""Counts up whenever the same seed gives another shape: photographs of another version are drawn anew."""

ROOM = 1.35
"""With the shape, the picture shows so many times as much around the head: crops of it are shifted and turned."""

_ABOUT = ("version", "seed", "size", "lights", "shape")
"""What a truth file says of how its photographs were drawn; ``lights`` only where they are lit by these, ``shape`` only
where the shape is told."""


def write_dataset(
    folder: Path,
    model: Path,
    identities: int = 150,
    photos: int = 4,
    size: int = 256,
    seed: int = 0,
    workers: int = 2,
    lit: bool = False,
    shape: bool = False,
) -> int:
    """Draw ``photos`` photographs of each of ``identities`` people into ``folder``; how many were missing.

    Writes ``person_0000/photo_0.jpg`` (RGB, ``size`` x ``size``, about 40 dB from what was drawn) and, one a person,
    ``person_0000/truth.json``: version, seed, size, the person's shape and skin, and of each photograph its digest,
    ``landmarks68`` [68, 2] (pixels), light, pose, expression, hair. That file comes last: photographs that it vouches
    for are kept, so a killed run goes on where it was. The bytes depend on ``model``, ``size``, ``seed`` and ``lit``
    alone.

    With ``lit`` each photograph is under one of the five conditions of ``lights``, which are in balance over a person,
    in place of a gentler light; the truth file then has the version of these as ``lights``, too.

    With ``shape`` more of what is around the head is seen (ROOM), and ``shape.npz`` beside the truth file has of each
    photograph, under ``photo_0.landmarks`` and so on: ``landmarks`` float32 [68, 3] and ``vertices`` float32 [468, 3]
    (x, y in pixels, depth in cm from the camera), ``depth`` uint16 [size / 2, size / 2] in DEPTH_UNIT, 0 behind the
    person, and ``focal``, the focal length in pixels.

    ``model`` is a ``face_landmarker.task`` bundle. Raises FaceReconError for arguments out of range or an unusable
    bundle.
    """
    if not 1 <= identities <= 10_000 or not 1 <= photos <= 100 or workers < 1:
        raise FaceReconError(
            f"identities={identities}, photos={photos}, workers={workers}: allowed are 1 to 10000, 1 to 100, at least 1"
        )
    if not 64 <= size <= 1024:
        raise FaceReconError(f"size is {size}: sample faces are drawn at 64 to 1024 pixels")
    CanonicalMesh.load(model)  # a bad bundle is reported here, once
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, Path(model), number, photos, size, seed, lit, shape) for number in range(identities)]
    return sum(track(in_workers(write_person, jobs, workers), "drawing sample faces", total=len(jobs)))


@lru_cache(maxsize=1)
def _mesh(model: Path) -> CanonicalMesh:
    return CanonicalMesh.load(model)


def write_person(
    folder: Path, model: Path, number: int, photos: int, size: int, seed: int, lit: bool, shape: bool
) -> int:
    """Write what is missing of one person's photographs, and then the file that vouches for them; how many were."""
    person = folder / f"person_{number:04d}"
    identity = draw_identity(seed, number)
    about = {"version": VERSION, "seed": seed, "size": size}
    about |= {"lights": lights.VERSION} if lit else {}
    about |= {"shape": SHAPE_VERSION} if shape else {}
    whole, arrays = _whole(person, about)
    missing = [photo for photo in range(photos) if f"photo_{photo}.jpg" not in whole]
    if not missing:
        return 0
    for photo in missing:
        scene = draw_scene(seed, number, photo)
        if lit:
            scene = lights.under(scene, lights.condition_of(seed, number, photo))
        if shape:
            scene = replace(scene, camera=replace(scene.camera, span=ROOM * scene.camera.span))
        rendered = render(_mesh(model), identity, scene, size)
        content = _as_jpeg(rendered)
        with atomic_path(person / f"photo_{photo}.jpg") as temporary:
            temporary.write_bytes(content)
        whole[f"photo_{photo}.jpg"] = {
            "sha256": sha256_bytes(content),
            "landmarks68": [[round(float(value), 3) for value in point[:2]] for point in rendered.landmarks68],
            "scene": scene.describe(),
        }
        if shape:
            told = _shape(rendered, scene, size)
            whole[f"photo_{photo}.jpg"]["shape_sha256"] = arrays_digest(told)
            arrays |= {f"photo_{photo}.{name}": array for name, array in told.items()}
    if shape:
        with atomic_path(person / SHAPE) as temporary, temporary.open("wb") as file:
            named: dict[str, Any] = arrays
            np.savez_compressed(file, **named)
    truth = about | {"identity_number": number, "identity": identity.describe(), "photos": whole}
    write_text(person / TRUTH, json.dumps(truth, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n")
    return len(missing)


def _as_jpeg(rendered: Rendered) -> bytes:
    """The picture as JPEG with full colour resolution: a sixth of a PNG file, which is large because skin is grainy."""
    options = {
        cv2.IMWRITE_JPEG_QUALITY: 90,
        cv2.IMWRITE_JPEG_OPTIMIZE: 1,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    }
    encoded, content = cv2.imencode(".jpg", rendered.image[..., ::-1], [*chain(*options.items())])
    if not encoded:
        raise FaceReconError("cannot encode a sample face as JPEG; check the installation of OpenCV")
    return bytes(content)


def _shape(rendered: Rendered, scene: Scene, size: int) -> dict[str, NDArray[Any]]:
    """What is told of a photograph's shape."""
    depth = rendered.depth[::2, ::2] / DEPTH_UNIT
    return {
        "landmarks": rendered.landmarks68,
        "vertices": rendered.landmarks,
        "depth": np.where(np.isfinite(depth), depth, 0).round().astype(np.uint16),
        "focal": np.array(size * scene.camera.distance / scene.camera.span, np.float32),
    }


def _whole(person: Path, about: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a person's truth file says of the photographs that are as it says, and their arrays of the shape.

    Nothing if it was not drawn as ``about``.
    """
    try:
        truth = json.loads((person / TRUTH).read_text(encoding="utf-8"))
        if any(truth.get(key) != about.get(key) for key in _ABOUT):
            return {}, {}
        whole = {
            name: photo
            for name, photo in truth["photos"].items()
            if (person / name).is_file() and sha256_file(person / name) == photo["sha256"]
        }
        if "shape" not in about:
            return whole, {}
        shapes = read_shapes(person / SHAPE)
        told = {name: photo for name, photo in whole.items() if shape_of(shapes, name, photo["shape_sha256"])}
        return told, {key: array for key, array in shapes.items() if f"{key.partition('.')[0]}.jpg" in told}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile):
        return {}, {}
