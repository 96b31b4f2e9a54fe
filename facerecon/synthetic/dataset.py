"""Sample faces as files: one folder a person, with the photographs and the truth about them."""

import json
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import cv2

from facerecon.drawn import TRUTH
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, sha256_bytes, sha256_file, write_text
from facerecon.progress import track
from facerecon.synthetic import lights
from facerecon.synthetic.mesh import CanonicalMesh
from facerecon.synthetic.people import draw_identity, draw_scene
from facerecon.synthetic.render import Rendered, render
from facerecon.synthetic.workers import in_workers

VERSION = 2
"""Counts up whenever the same seed draws other pictures: files of another version are drawn anew."""

_ABOUT = ("version", "seed", "size", "lights")
"""What a truth file says of how its photographs were drawn; ``lights`` only where they are lit by these."""


def write_dataset(
    folder: Path,
    model: Path,
    identities: int = 150,
    photos: int = 4,
    size: int = 256,
    seed: int = 0,
    workers: int = 2,
    lit: bool = False,
) -> None:
    """Draw ``photos`` photographs of each of ``identities`` people into ``folder``.

    Writes ``person_0000/photo_0.jpg`` (RGB, ``size`` x ``size``, about 40 dB from what was drawn) and, one a person,
    ``person_0000/truth.json``: version, seed, size, the person's shape and skin, and of each photograph its digest,
    ``landmarks68`` [68, 2] (pixels), light, pose, expression, hair. That file comes last: photographs that it vouches
    for are kept, so a killed run goes on where it was. The bytes depend on ``model``, ``size``, ``seed`` and ``lit``
    alone.

    With ``lit`` each photograph is under one of the five conditions of ``lights``, which are in balance over a person,
    in place of a gentler light; the truth file then has the version of these as ``lights``, too.

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
    jobs = [(folder, Path(model), number, photos, size, seed, lit) for number in range(identities)]
    for _ in track(in_workers(write_person, jobs, workers), "drawing sample faces", total=len(jobs)):
        pass


@lru_cache(maxsize=1)
def _mesh(model: Path) -> CanonicalMesh:
    return CanonicalMesh.load(model)


def write_person(folder: Path, model: Path, number: int, photos: int, size: int, seed: int, lit: bool) -> None:
    """Write what is missing of one person's photographs, and then the file that vouches for them."""
    person = folder / f"person_{number:04d}"
    identity = draw_identity(seed, number)
    about = {"version": VERSION, "seed": seed, "size": size} | ({"lights": lights.VERSION} if lit else {})
    whole = _whole(person, about)
    missing = [photo for photo in range(photos) if f"photo_{photo}.jpg" not in whole]
    if not missing:
        return
    for photo in missing:
        scene = draw_scene(seed, number, photo)
        if lit:
            scene = lights.under(scene, lights.condition_of(seed, number, photo))
        rendered = render(_mesh(model), identity, scene, size)
        content = _as_jpeg(rendered)
        with atomic_path(person / f"photo_{photo}.jpg") as temporary:
            temporary.write_bytes(content)
        whole[f"photo_{photo}.jpg"] = {
            "sha256": sha256_bytes(content),
            "landmarks68": [[round(float(value), 3) for value in point[:2]] for point in rendered.landmarks68],
            "scene": scene.describe(),
        }
    truth = about | {"identity_number": number, "identity": identity.describe(), "photos": whole}
    write_text(person / TRUTH, json.dumps(truth, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n")


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


def _whole(person: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What a person's truth file says of the photographs that are as it says; {} if it was not drawn as ``about``."""
    try:
        truth = json.loads((person / TRUTH).read_text(encoding="utf-8"))
        if any(truth.get(key) != about.get(key) for key in _ABOUT):
            return {}
        return {
            name: photo
            for name, photo in truth["photos"].items()
            if (person / name).is_file() and sha256_file(person / name) == photo["sha256"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
