"""As used: the hole lies in the photograph, nothing of what it hides gets out, and whoever is not found is counted."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.geometry import Square, cut, cut_known, face_square
from facerecon.data.manifest import Manifest
from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first
from facerecon.evaluation.scores import Scores
from facerecon.images import read_rgb
from facerecon.inference.frames import SQUARE, Face
from facerecon.perception.landmarks import sixty_eight
from facerecon.tasks.inpainting.as_used import measure_as_used, paste_hole
from facerecon.tasks.inpainting.details import AsUsed, InpaintingDetails
from facerecon.tasks.inpainting.evaluator import Fill, Filled, MaskCase

MASK = np.zeros((64, 64), np.uint8)
MASK[30:50, 20:44] = 1

Found = Callable[[Square], Square | None]


@pytest.fixture(scope="module")
def manifest(aligned: Manifest) -> Manifest:
    """All drawn faces, in the test split."""
    return replace(aligned, faces=aligned.faces.assign(split="test"))


@pytest.fixture(scope="module")
def faces(manifest: Manifest) -> EvaluationFaces:
    return evaluation_faces(manifest, "test", 4)


def known(faces: EvaluationFaces) -> Scores:
    """Every face has 20 dB if it is aligned before hiding."""
    scores = Scores()
    scores.add(MetricKey("test", "hole_psnr", "brush", 2), "model", faces.faces, [20.0] * len(faces))
    return scores


def paint(face: NDArray[np.uint8]) -> Fill:
    """A method that paints always the same ``face`` [64, 64, 3], wherever the hole is."""

    def fill(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Filled:
        made = np.where(masks[..., None] == 1, face, images)
        return Filled(channels_first(made), torch.ones(len(images), dtype=torch.bool))

    return fill


def run(faces: EvaluationFaces, manifest: Manifest, fill: Fill | None = None) -> tuple[tuple[AsUsed, ...], str]:
    """The same hole in all faces, filled with gray unless said otherwise."""
    case = MaskCase("brush", 2, np.stack([MASK] * len(faces)))
    gray = paint(np.full((64, 64, 3), 128, np.uint8))
    return measure_as_used({"model": fill or gray}, faces, [case], manifest, known(faces), "test")


@pytest.fixture
def found_at(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> Callable[[Found], None]:
    """``found_at(where)``: the detector finds the face of ``one`` where ``where`` puts its true square."""

    def replace_detector(where: Found) -> None:
        square = where(face_square(sixty_eight(one(manifest).points[0].all478)))
        there = () if square is None else (Face(1).told(SQUARE, square),)
        monkeypatch.setattr(
            "facerecon.tasks.inpainting.as_used.Detect.run",
            lambda self, frames: [replace(frame, faces=there) for frame in frames],
        )

    return replace_detector


def one(manifest: Manifest) -> EvaluationFaces:
    return evaluation_faces(manifest, "test", 1)


# ---------------------------------------------------------------------------------------------------------- the hole

SQUARES = st.builds(
    lambda angle, side, x, y: Square(np.array([x, y]), side * np.array([np.cos(angle), np.sin(angle)])),
    st.floats(-0.6, 0.6),
    st.floats(64, 200),
    st.floats(-20, 60),
    st.floats(-20, 60),
)


@given(SQUARES, st.integers(0, 99))
def test_nothing_of_what_the_mask_hides_is_left_in_the_photograph(square: Square, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((8, 8)) < 0.4).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    hidden = paste_hole(mask, square, (220, 240))
    photo = rng.integers(0, 256, (220, 240, 3), np.uint8)
    other = np.where(hidden[..., None], photo, rng.integers(0, 256, photo.shape, np.uint8))
    same = (cut(photo, square, 64)[0] == cut(other, square, 64)[0]).all(axis=2)
    assert same[mask == 1].all()


def test_the_hole_is_no_larger_than_the_pixels_that_it_touches() -> None:
    square = Square(np.array([40.3, 30.7]), np.array([130.0, 20.0]))
    hidden = paste_hole(MASK, square, (220, 240))
    _, crop, _ = cut_known(np.zeros((220, 240, 3), np.uint8), hidden, square, 64)
    assert crop[MASK == 1].all()
    around = np.zeros_like(MASK)
    around[29:51, 19:45] = 1
    assert not crop[around == 0].any(), "at most the ring of pixels around it"


# --------------------------------------------------------------------------------------------------------- the figure


def test_it_is_measured_where_the_face_truly_is(manifest: Manifest, found_at: Callable[[Found], None]) -> None:
    """What paints the true face is nearly exact in the true square, and the worse the farther off it is aligned."""
    first = one(manifest)
    oracle = paint(first.images[0])
    figures = []
    for shift in (0.0, 0.03, 0.15):
        found_at(lambda true, shift=shift: replace(true, origin=true.origin + shift * true.side))
        ((row,), note) = run(first, manifest, oracle)
        assert (row.faces, row.found, note) == (1, 1, "")
        assert row.before == 20.0
        assert row.used is not None
        assert row.difference == pytest.approx(row.used - 20.0)
        figures.append(row.used)
    assert figures[0] > 30
    assert figures[0] > figures[1] + 3 > figures[2] + 6


def test_a_face_that_is_filled_rightly_where_it_was_found_has_a_good_figure(
    manifest: Manifest, found_at: Callable[[Found], None]
) -> None:
    """What the crop of a square 15 % off truly shows is put back where it belongs."""
    first = one(manifest)
    true = face_square(sixty_eight(first.points[0].all478))
    off = replace(true, origin=true.origin + 0.15 * true.side)
    found_at(lambda square: off)
    ((row,), _) = run(first, manifest, paint(cut(read_rgb(place(manifest, first)), off, 64)[0]))
    assert row.used is not None
    assert row.used > 25


def test_what_no_method_fills_stays_as_the_photograph_has_it(
    manifest: Manifest, found_at: Callable[[Found], None]
) -> None:
    """A square that covers half of the hole gives half of it gray."""
    first = one(manifest)
    oracle = paint(first.images[0])
    found_at(lambda true: true)
    ((whole,), _) = run(first, manifest, oracle)
    found_at(lambda true: replace(true, origin=true.origin + np.array([0.5 * true.side, 0], np.float32)))
    ((half,), _) = run(first, manifest, oracle)
    assert whole.used is not None
    assert half.used is not None
    assert half.used < whole.used - 10


@pytest.mark.parametrize(
    "where", [lambda true: None, lambda true: replace(true, origin=true.origin + 0.9 * true.side)], ids=["none", "far"]
)
def test_who_is_not_found_is_counted_and_in_no_mean(
    where: Found, manifest: Manifest, found_at: Callable[[Found], None]
) -> None:
    found_at(where)
    ((row,), note) = run(one(manifest), manifest)
    assert (row.faces, row.found, row.not_found, note) == (1, 0, 1, "")
    assert (row.before, row.used, row.difference, row.low) == (None, None, None, None)


def test_of_several_faces_the_true_one_is_taken(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, found_at: Callable[[Found], None]
) -> None:
    first = one(manifest)
    true = face_square(sixty_eight(first.points[0].all478))
    found_at(lambda square: square)
    ((alone,), _) = run(first, manifest, paint(first.images[0]))
    beside = Face(1).told(SQUARE, replace(true, origin=true.origin + 0.4 * true.side))
    both = (beside, Face(2).told(SQUARE, true))
    monkeypatch.setattr(
        "facerecon.tasks.inpainting.as_used.Detect.run",
        lambda self, frames: [replace(frame, faces=both) for frame in frames],
    )
    ((row,), _) = run(first, manifest, paint(first.images[0]))
    assert row == alone


def test_a_crop_of_which_nothing_is_known_is_left_gray(manifest: Manifest, found_at: Callable[[Found], None]) -> None:
    first = one(manifest)

    def refuses(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Filled:
        raise ValueError("an image with no known pixel cannot be filled")

    found_at(lambda true: true)
    everything = MaskCase("brush", 2, np.ones((1, 64, 64), np.uint8))
    ((row,), _) = measure_as_used({"model": refuses}, first, [everything], manifest, known(first), "test")
    assert row.used is not None
    assert row.used < 20


def test_the_detector_of_use_finds_drawn_faces_with_a_hole(manifest: Manifest, faces: EvaluationFaces) -> None:
    ((row,), note) = run(faces, manifest)
    assert (row.faces, note) == (4, "")
    assert row.found >= 2
    assert row.used is not None
    assert 0 < row.used < CEILING


# ------------------------------------------------------------------------------------------------------- not measured


@pytest.fixture
def photographs(manifest: Manifest, sample_faces: Path, tmp_path: Path) -> Manifest:
    """The manifest, with the photographs in a folder of this test alone."""
    shutil.copytree(sample_faces, tmp_path / "photos")
    ((name, source),) = manifest.sources.items()
    return replace(manifest, sources={name: replace(source, root=str(tmp_path / "photos"))})


def place(manifest: Manifest, faces: EvaluationFaces) -> Path:
    (source,) = manifest.sources.values()
    return Path(source.root) / faces.rows["uri"].iloc[0]


def test_a_photograph_that_is_gone_or_changed_is_not_measured(photographs: Manifest, faces: EvaluationFaces) -> None:
    path = place(photographs, faces)
    path.write_bytes(path.read_bytes() + b"\0")
    ((row,), note) = run(faces, photographs)
    assert (row.faces, note) == (3, "1 of 4 faces: the photograph has changed")
    path.unlink()
    ((row,), note) = run(faces, photographs)
    assert (row.faces, note) == (3, "1 of 4 faces: the photograph is gone")
    shutil.rmtree(path.parents[1])
    assert run(faces, photographs) == ((), "4 of 4 faces: the photograph is gone")


def test_aligned_crops_and_faces_without_points_are_not_measured(manifest: Manifest, faces: EvaluationFaces) -> None:
    ((name, source),) = manifest.sources.items()
    elsewhere = replace(manifest, sources={name: replace(source, aligned="ffhq")})
    assert run(faces, elsewhere) == ((), "4 of 4 faces: the source's pictures are aligned crops themselves")
    bare = replace(faces, points=[replace(each, all478=np.zeros((478, 3), np.float32)) for each in faces.points])
    assert run(bare, manifest) == ((), "4 of 4 faces: the points of the face are not kept")
    assert run(faces, replace(manifest, sources={}))[1].endswith("the manifest names no place of the photographs")


def test_a_crop_of_another_photograph_is_not_measured(manifest: Manifest, faces: EvaluationFaces) -> None:
    other = replace(faces, images=255 - faces.images)
    assert run(other, manifest) == ((), "4 of 4 faces: the photograph does not give the crop that is kept")


def test_the_kept_points_lead_to_the_kept_crop(manifest: Manifest, faces: EvaluationFaces) -> None:
    square = face_square(sixty_eight(faces.points[0].all478))
    assert np.array_equal(cut(read_rgb(place(manifest, faces)), square, 64)[0], faces.images[0])


# ------------------------------------------------------------------------------------------------------------ details


def test_older_details_are_read_as_not_measured() -> None:
    stored = {"threshold": 16, "attention": [], "hole_ratios": [], "confidence": []}
    details = InpaintingDetails.model_validate(stored)
    assert details.as_used == ()
    assert "before there was this figure" in details.as_used_note
    assert details.figures("test") == {}


def test_trackers_are_told_of_the_model_under_names_of_their_own() -> None:
    means = {"identities": 7, "before": 19.0, "used": 18.0, "difference": -1.0}
    rows = (
        AsUsed(case="brush", level=1, method="model", faces=8, found=7, **means),
        AsUsed(case="brush", level=1, method="telea", faces=8, found=7, **means),
        AsUsed(case="features/mouth", level=-1, method="model", faces=8, found=0),
    )
    details = InpaintingDetails(threshold=16, attention=(), hole_ratios=(), confidence=(), as_used=rows)
    assert {str(key): value for key, value in details.figures("test").items()} == {
        "test/hole_psnr_as_used/brush_level_1": 18.0,
        "test/hole_psnr_as_used_difference/brush_level_1": -1.0,
        "test/hole_psnr_as_used_not_found/brush_level_1": 0.125,
        "test/hole_psnr_as_used_not_found/features_mouth": 1.0,
    }
