"""What the landmarks' report shows of the shape in 3D: vertex errors, and fitted faces from three sides."""

from dataclasses import dataclass

import numpy as np

from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.morphable.fit import FIELD_OF_VIEW, MOST
from facerecon.morphable.model import load
from facerecon.morphable.views import SIDES, overlaid, three_views
from facerecon.report.album import Album, Arrays, Tile
from facerecon.tasks.landmarks.details import MEDIAPIPE, FitRow, LandmarkDetails, Shape
from facerecon.tasks.landmarks.metrics import VERTEX
from facerecon.tasks.landmarks.report import pictures
from facerecon.tasks.landmarks.shape import MEAN_FACE, MEDIAPIPE_FIT

SHOWN = 4
"""So many faces are shown from three sides."""

METHODS = {
    MEAN_FACE: "mean face",
    MEDIAPIPE: "MediaPipe's mesh",
    MEDIAPIPE_FIT: "fit to MediaPipe's points",
    MODEL: "fit to the model's points",
}
"""The columns of vertex errors, by label."""


@dataclass(frozen=True)
class Line:
    """One condition's: a cell for each of METHODS, and how often and how well the face was fitted."""

    case: str
    cells: tuple[str, ...]
    refused: str
    reprojection: str


@dataclass(frozen=True)
class Table:
    """One face set's: ``title`` names it where there are others; ``exact``: there are errors in mm; ``notes`` say what
    it rests on."""

    title: str
    exact: bool
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def tables(evaluation: Evaluation, details: LandmarkDetails) -> list[Table]:
    """Of each face set of which anything was fitted."""
    return [
        Table(
            each.face_set if len(details.shapes) > 1 else "",
            each.exact is not None,
            tuple(_line(evaluation, each, row) for row in each.rows),
            _notes(evaluation, each),
        )
        for each in details.shapes
        if any(row.faces for row in each.rows)
    ]


def _line(evaluation: Evaluation, shape: Shape, row: FitRow) -> Line:
    cells = () if shape.exact is None else tuple(_cell(evaluation, shape, row, method) for method in METHODS)
    missed = "–" if row.reprojection is None else f"{row.reprojection:.2f}"
    return Line(row.case, cells, f"{row.refused} of {row.faces}", missed)


def _cell(evaluation: Evaluation, shape: Shape, row: FitRow, method: str) -> str:
    """The mean error, as a share of the mean face's on the same faces, and of how many faces where not of all."""
    key, scores = MetricKey(shape.face_set, VERTEX.name, row.case), evaluation.scores
    if method not in scores.methods(key):
        return "–"
    values, faces = scores.values(key, method), scores.faces(key, method)
    if method == MEAN_FACE:
        return f"{values.mean():.2f}"
    usual = dict(zip(scores.faces(key, MEAN_FACE), scores.values(key, MEAN_FACE), strict=True))
    share = values.mean() / np.mean([usual[face] for face in faces])
    few = "" if len(faces) == len(usual) else f", {len(faces)} of {len(usual)}"
    return f"{values.mean():.2f} ({share:.2f}{few})"


def _notes(evaluation: Evaluation, shape: Shape) -> tuple[str, ...]:
    if shape.exact is None or shape.explained is None:
        return (
            f"No true vertices are known of these faces, and a camera that sees {FIELD_OF_VIEW:g}° over the longer "
            "side of the photograph is assumed: nothing is told in mm.",
        )
    first = MetricKey(shape.face_set, VERTEX.name, shape.rows[0].case)
    usual = float(evaluation.scores.values(first, MEAN_FACE).mean())
    refused = f"; {shape.exact_refused} of these fits gave the mean face" if shape.exact_refused else ""
    return (
        f"Fitted to the exact points the error is {shape.exact:.2f} mm, {shape.exact / usual:.2f} of the mean face's "
        f"({usual:.2f} mm){refused}: a bound, no method.",
        f"The model is a principal component analysis of drawn people and holds {100 * shape.explained:.1f} % of their "
        "variance. The faces measured here are of the same renderer, though of other people: the two flatter each "
        "other, and on people the error is not known.",
        "The camera's focal length is known of drawn faces, and used. Of a photograph it is not: there a camera that "
        f"sees {FIELD_OF_VIEW:g}° over the longer side is assumed.",
        f"Refused is a fit that did not converge, left {MOST:g} standard deviations or missed the points: the mean "
        "face stands in its place.",
    )


@dataclass(frozen=True)
class Sides:
    """One face: the crop with the fitted face over it, that face from three sides, and where it is known the true one;
    ``columns`` in a row."""

    title: str
    tiles: tuple[Tile, ...]
    columns: int


def sides(album: Album, samples: Arrays) -> tuple[Sides, ...]:
    """The first SHOWN typical faces that were fitted."""
    fitted = np.isfinite(samples["shape"]).all(axis=(1, 2)) & (samples["kind"] == "typical")
    return tuple(
        _sides(album, samples, at, f"Typical {at + 1}, {str(samples['case'][at]).replace('_', ' ')}")
        for at in np.flatnonzero(fitted)[:SHOWN].tolist()
    )


def _sides(album: Album, samples: Arrays, at: int, title: str) -> Sides:
    triangles, side = load().triangles, pictures.ZOOM * samples["image"].shape[1]
    crop = pictures.enlarged(samples["image"][at])
    placed = overlaid(crop, pictures.ZOOM * samples["projected"][at], samples["vertices"][at], triangles)
    error = float(samples["vertex_error"][at])
    figure = f"{error:.2f} mm" if np.isfinite(error) else ""
    tiles = [album.photo(placed, f"{title}: the fitted face over the crop", "fitted", figure)]
    for name, kind in (("shape", "fitted"), ("true_shape", "true")):
        if np.isfinite(samples[name][at]).all():
            if kind == "true":
                tiles.append(album.photo(crop, f"{title}: the crop", "crop"))
            views = np.split(three_views(samples[name][at], triangles, side), len(SIDES), axis=1)
            tiles += [
                album.photo(view, f"{title}: the {kind} face, {of}", f"{kind}, {of}")
                for view, of in zip(views, SIDES, strict=True)
            ]
    return Sides(title, tuple(tiles), 1 + len(SIDES))
