"""Alignment: faces upright in the middle of their crops, never enlarged, done once, and done again if damaged."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facerecon.data import alignment, provenance
from facerecon.data.alignment import AlignmentSettings, align, store_key
from facerecon.data.geometry import Square, cut, face_square
from facerecon.data.ingest import ingest
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest
from facerecon.data.settings import DataSettings
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.images import read_rgb
from facerecon.perception.landmarks import FaceLandmarker, five_points, sixty_eight

# ---------------------------------------------------------------------------------------------------------- geometry

ANGLES, LENGTHS, PLACES = st.floats(-np.pi, np.pi), st.floats(20, 500), st.floats(-300, 300)
SIZES = st.sampled_from([64, 128, 256])


def square(angle: float, side: float, x: float, y: float) -> Square:
    return Square(np.array([x, y]), side * np.array([np.cos(angle), np.sin(angle)]))


@given(ANGLES, LENGTHS, PLACES, PLACES, SIZES)
def test_the_corners_of_a_square_are_those_of_the_crop(
    angle: float, side: float, x: float, y: float, size: int
) -> None:
    chosen = square(angle, side, x, y)
    down = np.array([-chosen.right[1], chosen.right[0]])
    corners = chosen.origin + np.array([[0, 0], chosen.right, down, chosen.right + down])
    assert chosen.side == pytest.approx(side)
    expected = [[0, 0], [size, 0], [0, size], [size, size]]
    np.testing.assert_allclose(chosen.to_crop(corners, size), expected, atol=size * 1e-4)


@given(ANGLES, LENGTHS, PLACES, PLACES, SIZES, st.floats(0, 1), st.floats(0, 1))
def test_matrix_is_the_way_back_from_to_crop(
    angle: float, side: float, x: float, y: float, size: int, u: float, v: float
) -> None:
    chosen = square(angle, side, x, y)
    pixel = np.array([u, v]) * size  # counted from the crop's corner; the matrix counts from a pixel's centre
    photo = chosen.matrix(size) @ [*(pixel - 0.5), 1] + 0.5
    np.testing.assert_allclose(chosen.to_crop(photo[None], size)[0], pixel, atol=size * 1e-4)


@given(ANGLES, st.floats(70, 150), st.floats(100, 156), st.floats(100, 156))
def test_pixels_are_cut_to_where_their_points_are(angle: float, side: float, x: float, y: float) -> None:
    dot = np.array([x, y])
    middle = np.array([128.0, 128.0]) + (dot - 128) * 0.5
    right = side * np.array([np.cos(angle), np.sin(angle)])
    chosen = Square(middle - right / 2 - np.array([-right[1], right[0]]) / 2, right)
    row, column = np.mgrid[:256, :256] + 0.5
    bright = np.exp(-((column - x) ** 2 + (row - y) ** 2) / 18)
    crop, padding = cut(np.repeat((bright * 250).round().astype(np.uint8)[..., None], 3, axis=2), chosen, 64)
    weight = crop[..., 0].astype(np.float64)
    row, column = np.mgrid[:64, :64] + 0.5
    seen = np.array([(column * weight).sum(), (row * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(seen, chosen.to_crop(dot[None], 64)[0], atol=0.1)
    assert padding == 0


@given(ANGLES, LENGTHS, PLACES, PLACES, st.floats(0.3, 3))
def test_the_square_moves_turns_and_grows_with_the_face(
    angle: float, length: float, x: float, y: float, scale: float
) -> None:
    points = np.random.default_rng(0).normal(size=(68, 2)) * 5
    points[36:42] += [-30, 0]
    points[42:48] += [30, 0]
    points[48:68] += [0, 60]
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plain, moved = face_square(points), face_square(points @ turn.T + [x, y])
    assert moved.side == pytest.approx(plain.side * scale, rel=1e-5)
    np.testing.assert_allclose(moved.origin, turn @ plain.origin + [x, y], atol=1e-3)
    np.testing.assert_allclose(moved.to_crop(points @ turn.T + [x, y], 64), plain.to_crop(points, 64), atol=1e-2)


def test_the_square_is_ffhqs() -> None:
    points = np.zeros((68, 2), dtype=np.float32)
    points[36:42], points[42:48], points[[48, 54]] = [70, 100], [130, 100], [[80, 160], [120, 160]]
    found = face_square(points)
    # 4 eye distances of 60, larger than 3.6 eye-to-mouth distances of 60; the middle a tenth of the way down
    assert found.side == pytest.approx(240)
    np.testing.assert_allclose(found.origin + found.right / 2 + [0, found.side / 2], [100, 106], atol=1e-4)


def test_a_fine_pattern_does_not_alias() -> None:
    photo = np.zeros((512, 512, 3), dtype=np.uint8)
    photo[:, ::2] = 255
    crop, _ = cut(photo, Square(np.array([6.0, 6.0]), np.array([499.0, 0.0])), 64)
    assert crop.dtype == np.uint8
    assert np.abs(crop.astype(int) - 127).max() < 12


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_padding_is_the_share_outside_and_mirrored(share: float) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    crop, padding = cut(photo, Square(np.array([-128 * share, 20.0]), np.array([128.0, 0.0])), 128)
    assert padding == pytest.approx(share, abs=0.01)
    outside = int(128 * share)
    # REFLECT_101: the photo's first column is not repeated
    np.testing.assert_array_equal(crop[:, outside - 1 : 0 : -1] if outside else crop[:, :0], photo[20:148, 1:outside])


# ------------------------------------------------------------------------------------------------------------- photos


@pytest.fixture(scope="module")
def photo(sample_faces: Path) -> NDArray[np.uint8]:
    return read_rgb(sample_faces / "person_0002" / "photo_0.jpg")


@pytest.fixture(scope="module")
def other(sample_faces: Path) -> NDArray[np.uint8]:
    return read_rgb(sample_faces / "person_0005" / "photo_0.jpg")


def save(path: Path, image: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(path)
    return path


def listed(folder: Path) -> Manifest:
    return ingest(DataSettings(path=str(folder)), folder, folder.parent / "frames")


def run(folder: Path, model: Path, store: Path | None = None, **options: object) -> Manifest:
    settings = AlignmentSettings(**{"size": 64, "workers": 1, **options})
    return align(listed(folder), settings, model, store or folder.parent / "store")


def reasons(manifest: Manifest) -> dict[str, str]:
    return dict(zip(manifest.quarantine["uri"], manifest.quarantine["reason"], strict=True))


def files(store: Path) -> dict[str, tuple[int, int]]:
    """Every file in the store with its inode and time of writing."""
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in sorted(store.rglob("*")) if p.is_file()}


@pytest.fixture
def photos(tmp_path: Path, sample_faces: Path) -> Path:
    """Photos of two people in a folder that a test may change."""
    for person in ("person_0000", "person_0001"):
        save(tmp_path / "photos" / person / "1.png", read_rgb(sample_faces / person / "photo_0.jpg"))
    return tmp_path / "photos"


def test_a_row_and_a_crop_per_face(aligned: Manifest, sample_faces: Path) -> None:
    assert aligned.aligned
    assert aligned.size == 64
    assert aligned.faces.columns.tolist() == [*PHOTO_COLUMNS, *FACE_COLUMNS]
    assert len(aligned.faces) == 16
    assert len(aligned.quarantine) == 0
    assert not aligned.faces[list(FACE_COLUMNS)].isna().any().any()
    aligned.check_crops()
    for row in aligned.faces.to_dict("records"):
        crop = aligned.aligned_faces.crop(row["face"])
        assert crop.shape == (64, 64, 3)
        assert row["crop_sha256"] == sha256_bytes(crop.tobytes())
        assert row["face"] == row["sha256"]
        assert row["brightness"] == pytest.approx(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).mean())
        assert row["quad"] > 64
        assert 0.2 < row["eyes"] / row["quad"] <= 0.251  # FFHQ's square is at least four of them wide
        assert 0 <= row["box_x"] < row["box_x"] + row["box_width"] <= 256
        assert 0 <= row["box_y"] < row["box_y"] + row["box_height"] <= 256
    assert aligned.digest != replace(aligned, size=0).digest


def test_points_fit_the_eyes_and_mouth_that_were_drawn(aligned: Manifest, sample_faces: Path) -> None:
    for row in aligned.faces.to_dict("records"):
        points = aligned.aligned_faces.points(row["face"])
        assert (points.five.shape, points.sixty_eight.shape, points.all478.shape) == ((5, 2), (68, 2), (478, 3))
        photo = sample_faces / row["uri"]
        truth = json.loads(photo.with_name("truth.json").read_text())["photos"][photo.name]
        drawn = np.array(truth["landmarks68"])
        # through the square around the points found, the drawn points come to lie on the crop's points
        chosen = face_square(sixty_eight(points.all478))
        expected = chosen.to_crop(drawn, 64)
        assert np.linalg.norm(points.sixty_eight - expected, axis=1)[17:].mean() < 2
        np.testing.assert_allclose(points.five[0], expected[36:42].mean(0), atol=2.5)
        np.testing.assert_allclose(points.five[1], expected[42:48].mean(0), atol=2.5)
        assert row["quad"] == pytest.approx(chosen.side)


def test_eyes_are_level_and_where_they_are_in_every_crop(aligned: Manifest) -> None:
    five = np.array([aligned.aligned_faces.points(face).five for face in aligned.faces["face"]])
    assert np.abs(five[:, 0, 1] - five[:, 1, 1]).max() < 2
    assert np.abs((five[:, 0] + five[:, 1]) / 2 - [32, 28]).max() < 4
    assert five.std(0).max() < 4


@pytest.mark.parametrize("degrees", [-30, 20])
def test_a_leaning_face_is_set_upright(
    tmp_path: Path, photo: NDArray[np.uint8], landmark_model: Path, degrees: int
) -> None:
    turn = cv2.getRotationMatrix2D((128, 128), degrees, 0.8)
    save(tmp_path / "photos" / "a.png", cv2.warpAffine(photo, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE))
    manifest = run(tmp_path / "photos", landmark_model, size=128)
    face = manifest.faces.loc[0, "face"]
    with FaceLandmarker(landmark_model) as landmarker:
        [(points, _)] = landmarker.detect(manifest.aligned_faces.crop(face))
    five = five_points(points)
    right = five[1] - five[0]
    assert abs(np.degrees(np.arctan2(right[1], right[0]))) < 4
    np.testing.assert_allclose(five, manifest.aligned_faces.points(face).five, atol=5)
    assert np.sign(manifest.faces.loc[0, "roll"]) == -np.sign(degrees)  # roll is clockwise, OpenCV's angle is not


def test_exif_and_transparency_reach_the_crop(tmp_path: Path, photo: NDArray[np.uint8], landmark_model: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "photos" / "plain.png", photo)
    Image.fromarray(np.rot90(photo).copy()).save(tmp_path / "photos" / "turned.png", exif=exif)
    alpha = np.full((256, 256, 1), 255, dtype=np.uint8)
    save(tmp_path / "photos" / "rgba.png", np.concatenate([photo, alpha], axis=2))
    manifest = run(tmp_path / "photos", landmark_model)
    assert len(manifest.faces) == 3
    assert manifest.faces["crop_sha256"].nunique() == 1


@pytest.mark.parametrize("size", [64, 128, 192])
def test_crops_have_the_size_asked_for(photos: Path, landmark_model: Path, size: int) -> None:
    manifest = run(photos, landmark_model, size=size)
    assert manifest.aligned_faces.crops(manifest.faces["face"], size).shape == (2, size, size, 3)
    assert (manifest.faces["quad"] >= size).all()


def test_a_face_is_never_enlarged(photos: Path, photo: NDArray[np.uint8], landmark_model: Path) -> None:
    save(photos / "small.png", cv2.resize(photo, (72, 72), interpolation=cv2.INTER_AREA))
    manifest = run(photos, landmark_model)
    assert len(manifest.faces) == 2
    [(uri, reason)] = reasons(manifest).items()
    assert uri == "small.png"
    side = int(reason.removeprefix("face too small: ").removesuffix(" px for a crop of 64 px"))
    assert 50 <= side < 64


def test_no_usable_face_at_all_is_an_error_with_the_first_reason(photos: Path, landmark_model: Path) -> None:
    with pytest.raises(FaceReconError) as caught:
        run(photos, landmark_model, size=512)
    message = caught.value.message
    assert message.startswith(
        f"no usable face in any of the 2 photos under {photos} (first: person_0000/1.png: face too"
    )
    assert message.endswith("give photos of faces at least 512 px wide, or lower alignment.size")


def test_a_photo_without_a_face(photos: Path, landmark_model: Path) -> None:
    save(photos / "wall\n.png", np.full((200, 200, 3), 127, dtype=np.uint8))
    for _ in ("new", "from the store"):
        manifest = run(photos, landmark_model)
        assert reasons(manifest) == {"wall\n.png": "no face found"}
        assert len(manifest.faces) == 2
    for _ in ("after it was kept", "again"):
        with pytest.raises(
            FaceReconError, match=r"^alignment.no_face: no face found in wall .png: remove the photo or"
        ):
            run(photos, landmark_model, no_face="fail")


def test_with_fail_other_reasons_are_still_quarantined(
    photos: Path, photo: NDArray[np.uint8], landmark_model: Path
) -> None:
    save(photos / "small.png", cv2.resize(photo, (72, 72), interpolation=cv2.INTER_AREA))
    assert set(reasons(run(photos, landmark_model, no_face="fail"))) == {"small.png"}


class TestSeveralFaces:
    @pytest.fixture
    def pair(self, tmp_path: Path, photo: NDArray[np.uint8], other: NDArray[np.uint8]) -> Path:
        """A photo with a larger face on the left of a smaller one, and a photo of one."""
        smaller = np.full((256, 200, 3), 90, dtype=np.uint8)
        smaller[56:] = cv2.resize(other, (200, 200), interpolation=cv2.INTER_AREA)
        save(tmp_path / "photos" / "pair.png", np.concatenate([photo, smaller], axis=1))
        save(tmp_path / "photos" / "single.png", other)
        return tmp_path / "photos"

    def test_largest(self, pair: Path, landmark_model: Path) -> None:
        manifest = run(pair, landmark_model, several_faces="largest")
        rows = manifest.faces.set_index("uri")
        assert len(manifest.faces) == 2
        assert rows.loc["pair.png", "box_x"] < 200
        assert len(manifest.quarantine) == 0

    def test_all(self, pair: Path, landmark_model: Path) -> None:
        manifest = run(pair, landmark_model, several_faces="all")
        rows = manifest.faces[manifest.faces["uri"] == "pair.png"]
        assert len(manifest.faces) == 3
        sha256 = rows["sha256"].iloc[0]
        assert rows["face"].tolist() == [sha256, f"{sha256}-1"]
        assert rows["face"].nunique() == rows["crop_sha256"].nunique() == 2
        assert rows["quad"].is_monotonic_decreasing
        assert rows["box_x"].iloc[0] < 256 < rows["box_x"].iloc[1]
        for row in rows.to_dict("records"):  # each crop's points are its own
            points = manifest.aligned_faces.points(row["face"])
            assert points.all478[:, 0].min() == pytest.approx(row["box_x"])
            chosen = face_square(sixty_eight(points.all478))
            np.testing.assert_allclose(points.five, chosen.to_crop(five_points(points.all478), 64), atol=1e-3)
            np.testing.assert_allclose(points.sixty_eight, chosen.to_crop(sixty_eight(points.all478), 64), atol=1e-3)
        assert rows["split"].nunique() == 1
        assert rows["identity"].nunique() == 2, "they are two people"

    def test_another_anchor_aligns_the_photo_anew(
        self, pair: Path, landmark_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain, settings = listed(pair), AlignmentSettings(size=64, workers=1)
        find, found = alignment._find_faces, []

        def noted(*arguments: Any) -> Any:
            found.append(arguments[-1])
            return find(*arguments)

        monkeypatch.setattr(alignment, "_find_faces", noted)

        def cut_at(*anchor: float) -> Manifest:
            found.clear()
            place = dict(zip(("anchor_x", "anchor_y"), anchor, strict=True)) if anchor else {}
            faces = plain.faces.copy()
            for name, value in place.items():
                faces.loc[faces["uri"] == "pair.png", name] = value
            return align(replace(plain, faces=faces), settings, landmark_model, tmp_path / "store")

        left = cut_at().faces.set_index("uri")
        assert len(found) == 2
        box = left.loc["pair.png"]
        right = cut_at(356.0, 150.0)
        assert found == [(356.0, 150.0)]
        assert right.faces.set_index("uri").loc["pair.png", "box_x"] > 256
        right.check_crops()
        assert cut_at(356.0, 150.0).faces.equals(right.faces)
        assert found == []
        nobody = cut_at(20.0, 20.0)
        assert reasons(nobody) == {"pair.png": "no face found where the source says that there is one"}
        assert cut_at(20.0, 20.0).faces.equals(nobody.faces)
        assert found == []
        assert cut_at().faces.set_index("uri").loc["pair.png"].equals(box)
        assert found == [None]

    def test_quarantine(self, pair: Path, landmark_model: Path) -> None:
        manifest = run(pair, landmark_model, several_faces="quarantine")
        assert manifest.faces["uri"].tolist() == ["single.png"]
        assert reasons(manifest) == {"pair.png": "2 faces found"}

    def test_of_several_faces_those_too_small_are_left_out(self, pair: Path, landmark_model: Path) -> None:
        manifest = run(pair, landmark_model, several_faces="all", size=192)
        assert sorted(manifest.faces["uri"]) == ["pair.png", "single.png"]
        assert len(manifest.quarantine) == 0


def test_a_face_at_the_edge_is_padded_only_so_far(
    tmp_path: Path, photo: NDArray[np.uint8], other: NDArray[np.uint8], landmark_model: Path
) -> None:
    save(tmp_path / "photos" / "whole.png", other)
    save(tmp_path / "photos" / "edge.png", photo[:, 58:])
    strict = run(tmp_path / "photos", landmark_model, max_padding=0.05)
    assert strict.faces["uri"].tolist() == ["whole.png"]
    [reason] = reasons(strict).values()
    assert reason.startswith("face cut off: ")
    assert reason.endswith("% of the crop lies outside the photo")
    lenient = run(tmp_path / "photos", landmark_model, max_padding=0.5)
    padding = lenient.faces.set_index("uri")["padding"]
    assert padding["whole.png"] == 0
    assert 0.05 < padding["edge.png"] < 0.5
    assert reason.startswith(f"face cut off: {padding['edge.png']:.0%} ")


def test_what_ingest_refused_stays_on_the_list(photos: Path, landmark_model: Path) -> None:
    (photos / "text.jpg").write_text("text")
    shutil.copy(photos / "person_0000" / "1.png", photos / "zz.png")
    save(photos / "wall.png", np.full((200, 200, 3), 127, dtype=np.uint8))
    found = reasons(run(photos, landmark_model))
    assert found == {
        "text.jpg": "cannot be decoded: not an image",
        "zz.png": "duplicate of person_0000/1.png",
        "wall.png": "no face found",
    }


@pytest.mark.parametrize("name", ["Åse 安倍", "line\nbreak", "a,b;c\"d'%"])
def test_any_name_of_photo_and_store(tmp_path: Path, photo: NDArray[np.uint8], landmark_model: Path, name: str) -> None:
    save(tmp_path / name / name / f"{name}.png", photo)
    manifest = run(tmp_path / name, landmark_model, store=tmp_path / f"store {name}")
    [row] = manifest.faces.to_dict("records")
    assert (row["uri"], row["identity"]) == (f"{name}/{name}.png", name)
    assert manifest.aligned_faces.points(row["face"]).five.shape == (5, 2)
    manifest.check_crops()


# -------------------------------------------------------------------------------------------------------------- store


def test_done_once(photos: Path, landmark_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(photos / "wall.png", np.full((200, 200, 3), 127, dtype=np.uint8))
    first = run(photos, landmark_model)
    before = files(tmp_path / "store")
    assert before

    def detect(*_: object) -> None:
        raise AssertionError("a face was looked for again")

    monkeypatch.setattr("facerecon.data.alignment._find_faces", detect)
    second = run(photos, landmark_model)
    assert files(tmp_path / "store") == before
    assert second.digest == first.digest
    assert second.faces.equals(first.faces)
    for photo in photos.rglob("*.png"):  # the store outlives the photos
        os.truncate(photo, 0)
    again = align(
        replace(first, store="", size=0), AlignmentSettings(size=64, workers=1), landmark_model, tmp_path / "store"
    )
    assert again.faces.equals(first.faces)


def test_only_new_photos_are_aligned(
    photos: Path, photo: NDArray[np.uint8], landmark_model: Path, tmp_path: Path
) -> None:
    run(photos, landmark_model)
    before = files(tmp_path / "store")
    save(photos / "new.png", photo)
    assert len(run(photos, landmark_model).faces) == 3
    after = files(tmp_path / "store")
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


@pytest.mark.parametrize("damage", ["deleted", "empty", "half", "bit", "other faces", "temporary"])
def test_a_damaged_shard_is_not_trusted(photos: Path, landmark_model: Path, damage: str) -> None:
    first = run(photos, landmark_model)
    one, two = sorted(Path(first.store).glob("*.safetensors"))
    whole = one.read_bytes()
    if damage == "deleted":
        one.unlink()
    elif damage == "bit":
        one.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif damage == "other faces":
        shutil.copy(two, one)
    elif damage == "temporary":  # killed between writing and renaming
        one.rename(one.with_name(f".unfinished-{one.stem}-abc.safetensors"))
    else:
        os.truncate(one, 0 if damage == "empty" else len(whole) // 2)
    second = run(photos, landmark_model)
    assert one.read_bytes() == whole
    assert second.faces.equals(first.faces)
    assert len(second.quarantine) == 0


def test_a_photo_that_changed_after_it_was_listed_does_not_get_its_place(
    photos: Path, other: NDArray[np.uint8], landmark_model: Path, tmp_path: Path
) -> None:
    before = listed(photos)
    path = photos / "person_0001" / "1.png"
    original = path.read_bytes()
    save(path, other)
    settings = AlignmentSettings(size=64, workers=1)
    changed = align(before, settings, landmark_model, tmp_path / "store")
    assert reasons(changed) == {"person_0001/1.png": "changed since it was listed"}
    path.unlink()
    gone = align(before, settings, landmark_model, tmp_path / "store")
    assert reasons(gone) == {"person_0001/1.png": "cannot be read: No such file or directory"}
    path.write_bytes(original)
    assert len(align(before, settings, landmark_model, tmp_path / "store").faces) == 2


def test_other_settings_have_another_folder() -> None:
    plain = AlignmentSettings()
    assert store_key(plain, "m", "lfw") == store_key(AlignmentSettings(workers=7, no_face="fail"), "m", "lfw")
    changed = [
        {"size": 128},
        {"several_faces": "all"},
        {"min_confidence": 0.7},
        {"small_faces": "ignore"},
        {"max_padding": 0.3},
    ]
    keys = [store_key(plain, "m", "lfw"), store_key(plain, "n", "lfw"), store_key(plain, "m", "celeba")]
    keys += [store_key(AlignmentSettings(**change), "m", "lfw") for change in changed]
    assert len(set(keys)) == len(keys)


def test_whatever_decides_a_crop_is_in_its_folders_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(layout: str = "folder") -> str:
        return store_key(AlignmentSettings(), "m", layout)

    keys, installed, read = [key()], provenance.version, provenance.sha256_file
    for package in ("mediapipe", "pillow", "pillow-heif", "numpy"):
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "version", lambda name, new=package: "9" if name == new else installed(name))
            keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "__version__", "9")
        keys.append(key())
    plain, labelled = key(), key("celeba_hq")
    for module in ("alignment", "geometry", "images", "landmarks", "store", "celeba_hq", "parts"):
        with monkeypatch.context() as patch:
            changed = f"{module}.py"
            patch.setattr(
                provenance, "sha256_file", lambda path, new=changed: "0" * 64 if path.name == new else read(path)
            )
            assert key("celeba_hq") != labelled
            assert (key() == plain) == (module in ("celeba_hq", "parts"))
            keys.append(key("celeba_hq"))
    assert len(set(keys)) == len(keys)


def test_after_an_upgrade_photos_are_aligned_again(
    photos: Path, landmark_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, settings = listed(photos), AlignmentSettings(size=64, workers=1)
    before = align(listing, settings, landmark_model, tmp_path / "store")
    monkeypatch.setattr(provenance, "version", lambda package: "9")
    find, found = alignment._find_faces, []

    def count(*arguments: Any) -> Any:
        found.append(1)
        return find(*arguments)

    monkeypatch.setattr(alignment, "_find_faces", count)
    after = align(listing, settings, landmark_model, tmp_path / "store")
    assert len(found) == len(after.faces) == 2
    assert after.store != before.store
    before.check_crops()


def test_opencv_keeps_its_threads(photos: Path, landmark_model: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        run(photos, landmark_model)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(
    sample_faces: Path, landmark_model: Path, aligned: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "PHOTOS_PER_WORKER", 8)
    started: list[int] = []
    real = alignment.ProcessPoolExecutor
    monkeypatch.setattr(alignment, "ProcessPoolExecutor", lambda *a: started.append(a[0]) or real(*a))
    save(tmp_path / "photos" / "wall.png", np.full((200, 200, 3), 127, dtype=np.uint8))
    shutil.copytree(sample_faces, tmp_path / "photos", dirs_exist_ok=True)
    two = run(tmp_path / "photos", landmark_model, workers=2)
    assert started == [2]
    assert two.faces.drop(columns="source").equals(aligned.faces.drop(columns="source"))
    assert reasons(two) == {"wall.png": "no face found"}
    for face in two.faces["face"]:
        here, there = two.aligned_faces.photo(face), aligned.aligned_faces.photo(face)
        np.testing.assert_equal(asdict(here), asdict(there))


@pytest.mark.parametrize("how", ["tiles", "mtcnn", "ignore"])
def test_a_small_face_in_a_large_photo_is_cut_out_at_full_resolution(
    tmp_path: Path, landmark_model: Path, photo: NDArray[np.uint8], how: str
) -> None:
    small = cv2.resize(photo, (240, 240), interpolation=cv2.INTER_AREA)
    large = np.full((1500, 2000, 3), 128, np.uint8)
    large[700:940, 1200:1440] = small
    save(tmp_path / "photos" / "a" / "large.png", large)
    save(
        tmp_path / "photos" / "b" / "small.png",
        large[640:1000, 1140:1500],
    )
    aligned = run(tmp_path / "photos", landmark_model, small_faces=how)
    if how == "ignore":
        assert reasons(aligned) == {"a/large.png": "no face found"}
        return
    crops = [aligned.aligned_faces.crop(face).astype(int) for face in aligned.faces["face"]]
    assert len(crops) == 2
    assert np.abs(crops[0] - crops[1]).mean() < 6
    assert aligned.faces["box_x"][0] == pytest.approx(aligned.faces["box_x"][1] + 1140, abs=5)
