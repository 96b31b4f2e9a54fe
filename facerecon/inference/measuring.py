"""Measuring faces: points, depth and a shape of each, with a signed record of what was done."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facerecon.data.footage.cuts import Cuts
from facerecon.data.footage.tracking import Tracker
from facerecon.inference import pictures
from facerecon.inference.chain import Chain, Outcome
from facerecon.inference.frames import BOX, DEPTH, FOUND_BY, POINTS3D, POINTS_CONFIDENCE, REFUSED, Face, Frame, Image
from facerecon.inference.making import Made, Maker, Steps, Wanted, check_changed, faces_of, networks_of
from facerecon.inference.media import Mask
from facerecon.inference.overlay import drawn_over, photo_scale
from facerecon.inference.pictures import DepthPicture
from facerecon.inference.record import FrameFacts, Record, frame_facts, new_id, now
from facerecon.marks import MEASURED, PROGRAM, Words, comment_of
from facerecon.morphable.fit import FIELD_OF_VIEW, Camera, Fit, assumed_camera, fit
from facerecon.morphable.model import load
from facerecon.morphable.obj import obj_text

OVERLAY, VALUES, LINES = ".landmarks.png", ".landmarks.json", ".landmarks.jsonl"
"""How the names of a photo's picture and values end, and of a clip's values."""

MAX_GAP = 1.0
"""Seconds after which a face that was not measured begins a new track."""

_BY = f"{PROGRAM}: estimated by a network"

UNITS = {
    "points": "x, y: pixels of the photo, (0, 0) is the corner of its top left pixel, x to the right, y down; z: these "
    "pixels, towards the camera, from the mean of the points; in the order of iBUG 300-W",
    "confidence": "probability that a point lies within 5 % of the square root of the area of the points' box",
    "depth": "16-bit gray: 0 is outside the face, else z = offset + scale * value, in pixels of the photo, towards the "
    "camera, from the mean of the points; the picture lies in the square (its corner and its whole upper edge)",
    "mesh": "mm in the camera's frame: x to the right, y up, z towards the camera, which stands in the origin",
}
"""What the numbers of a photo's values are."""


@dataclass(frozen=True)
class MeasurementRequest(Wanted):
    """What is asked for of a measurement."""

    faces: Literal["largest", "all"] | int = "all"

    @property
    def words(self) -> Words:
        """As ``Wanted`` says."""
        return MEASURED

    @property
    def clips(self) -> str:
        """As ``Wanted`` says."""
        return f".landmarks{super().clips}"

    def maker(self, chain: Chain, threads: int) -> "Measurer":
        """As ``Wanted`` says."""
        return Measurer(self, chain, threads)

    def steps(self) -> Steps:
        """As ``Wanted`` says."""
        return (self._detect, ("landmarks", {"model": self.model.digest}))

    def told(self, facts: FrameFacts, networks: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """As ``Wanted`` says."""
        (network,) = networks
        return {"measured_from": faces_of(network)}


@dataclass(frozen=True, eq=False)
class _Shaped:
    """A face that was measured: its depth as a picture, and a mesh fitted to its points."""

    face: Face
    depth: DepthPicture
    fit: Fit

    @property
    def depth_end(self) -> str:
        """How the name of its depth's picture ends."""
        return f".face{self.face.number}.depth.png"

    @property
    def mesh_end(self) -> str:
        """How the name of its mesh ends."""
        return f".face{self.face.number}.obj"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of the mesh."""
        why = f"face {self.face.number}: its mesh is the mean face, posed as it is: {self.fit.refused}"
        return (why,) if self.fit.refused else ()


class Measurer(Maker):
    """As ``Maker``, for measurements: of a photo a picture, values, and depth and mesh of each face; of a clip a clip
    and values."""

    def photo(self, image: Image, sha256: str, mask: Mask | None, name: str) -> Made:
        """What comes out of a photo; see ``Maker``."""
        (outcome,) = self._chain.run([Frame(image)])
        camera = assumed_camera(*outcome.frame.size)
        shaped = [_shaped(face, camera) for face in outcome.frame.faces if POINTS3D in face]
        remarked = outcome.frame.remarked(*(remark for each in shaped for remark in each.remarks))
        outcome = drawn_over(replace(outcome, frame=remarked), clip=False)
        facts = frame_facts(outcome)
        check_changed([facts], name, self._request.words)
        drawn: dict[str, NDArray[Any]] = {OVERLAY: outcome.image}
        drawn |= {each.depth_end: each.depth.counts for each in shaped}
        made = self._of_photo(image, facts, sha256, None, drawn, id=new_id(), made=now())
        texts = {VALUES: partial(self._values, made.record, outcome.frame, camera, shaped)}
        texts |= {each.mesh_end: partial(self._mesh, each, camera) for each in shaped}
        return replace(made, texts=texts)

    def clip(
        self, path: Path, sha256: str, mask: Mask | None, target: Path, told: Callable[[int], None] | None = None
    ) -> Made:
        """What comes out of a clip; see ``Maker``. Its values lie beside ``target``."""
        values, tracker, cuts = target.with_suffix(".jsonl"), Tracker(MAX_GAP), Cuts()

        def shown(outcome: Outcome) -> Outcome:
            if cuts.is_cut(outcome.frame.image):
                tracker.end_all()
            for line in _lines(outcome.frame, tracker):
                stream.write(json.dumps(line) + "\n")
            return drawn_over(outcome, clip=True)

        with values.open("w", encoding="utf-8") as stream:
            made = self._clip(path, sha256, mask, target, told, shown)
        return replace(made, beside={LINES: values})

    def _values(self, record: Record, frame: Frame, camera: Camera, shaped: Sequence[_Shaped], name: str) -> bytes:
        """The values of a photo whose files' names begin with ``name``, as JSON."""
        by_number = {each.face.number: each for each in shaped}
        (facts,), networks = record.frames, networks_of(self._stages)
        document = {
            "schema_version": 1,
            "statement": comment_of(self._request.words),
            "record": record.id,
            "model": {"name": str(self._request.model), "sha256": self._request.model.digest},
            **self._request.told(facts, [network.details for network in networks]),
            "photo": {"sha256": record.original.sha256, "width": frame.size[1], "height": frame.size[0]},
            "overlay": {"file": f"{name}{OVERLAY}", "scale": photo_scale(frame)},
            "camera": {
                "assumed": f"{FIELD_OF_VIEW:g} degrees over the longer side",
                "focal": camera.focal,
                "centre": camera.centre,
            },
            "units": UNITS,
            "remarks": facts.remarks,
            "faces": [{**_face(face), **_files(by_number.get(face.number), name)} for face in frame.faces],
        }
        return (json.dumps(document) + "\n").encode()

    def _mesh(self, shaped: _Shaped, camera: Camera, name: str) -> bytes:
        """A face's mesh as an OBJ file; its text tells no file's name."""
        x, y = camera.centre
        seen = f"Camera: {FIELD_OF_VIEW:g} degrees over the photo's longer side are assumed, so the distance is, too: "
        said = (comment_of(self._request.words), f"{seen}focal length {camera.focal:.1f} px, centre {x:g}, {y:g}")
        return obj_text(shaped.fit.vertices, load().triangles, (*said, *shaped.remarks)).encode()


def _shaped(face: Face, camera: Camera) -> _Shaped:
    fitted = fit(load(), face[POINTS3D], camera, face[POINTS_CONFIDENCE])
    return _Shaped(face, pictures.depth_picture(face[DEPTH].values), fitted)


def _face(face: Face) -> dict[str, Any]:
    """What is said of a face in photos and clips alike."""
    measured = POINTS3D in face
    return {
        "face": face.number,
        "found_by": face[FOUND_BY],
        "box": _rounded(face[BOX]),
        "refused": None if measured else face[REFUSED],
        "points": _rounded(face[POINTS3D]) if measured else None,
        "confidence": _rounded(face[POINTS_CONFIDENCE]) if measured else None,
    }


def _files(shaped: _Shaped | None, name: str) -> dict[str, Any]:
    """What is said of a face's depth and mesh."""
    if shaped is None:
        return {"depth": None, "mesh": None}
    square, depth = shaped.face[DEPTH].square, shaped.depth
    return {
        "depth": {
            "file": f"{name}{shaped.depth_end}",
            "offset": depth.offset,
            "scale": depth.scale,
            "square": {"corner": _rounded(square.origin), "edge": _rounded(square.right)},
        },
        "mesh": {
            "file": f"{name}{shaped.mesh_end}",
            "refused": shaped.fit.refused or None,
            "reprojection": round(shaped.fit.reprojection, 3),
        },
    }


@dataclass(frozen=True, eq=False)
class _Placed:
    """Where a face was measured: the box of its points [4]."""

    box: NDArray[np.float32]

    @property
    def height(self) -> float:
        """The height of the box in pixels."""
        return float(self.box[3] - self.box[1])


def _lines(frame: Frame, tracker: Tracker) -> list[dict[str, Any]]:
    """A line for each face of a clip's frame; those that were measured are followed by where they are."""
    tracker.end_lost(frame.time)
    measured = [face for face in frame.faces if POINTS3D in face]
    points = [face[POINTS3D][:, :2] for face in measured]
    placed = [_Placed(np.concatenate([each.min(axis=0), each.max(axis=0)])) for each in points]
    looks = np.empty((len(placed), 0), np.float32)
    tracks = tracker.update(frame.time, placed, looks, [1.0] * len(placed))
    numbers = {face.number: track.number for face, track in zip(measured, tracks, strict=True)}
    about = {"by": _BY, "frame": frame.number, "time": round(frame.time, 6)}
    return [{**about, "track": numbers.get(face.number), **_face(face)} for face in frame.faces]


def _rounded(values: NDArray[np.floating]) -> list[Any]:
    rounded: list[Any] = np.asarray(values, np.float64).round(4).tolist()
    return rounded
