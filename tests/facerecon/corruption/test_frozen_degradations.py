"""Frozen degraded faces: the same pixels for ever, whatever faces come, and whatever codecs do."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from facerecon.corruption import frozen_degradations, presets
from facerecon.corruption.degradations import degrade, draw
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_degradations, load_degradations
from facerecon.corruption.presets import PRESETS
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY, sha256_bytes

SIZE = 64
NAMES = ("motion", "cctv")


@pytest.fixture
def faces(tiny_manifest: Manifest) -> list[str]:
    """The faces that are evaluated."""
    rows = tiny_manifest.faces
    return sorted(rows["face"][rows["split"] != "train"])


@pytest.fixture
def frozen(tiny_manifest: Manifest, tmp_path: Path) -> DegradedSet:
    return freeze_degradations(tmp_path / "cases", tiny_manifest, NAMES, SIZE)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_evaluation_face_is_degraded_and_no_training_face(
    frozen: DegradedSet, tiny_manifest: Manifest, faces: list[str]
) -> None:
    for name in NAMES:
        assert list(frozen.presets[name].faces) == faces
        pixels = frozen.for_faces(name, faces)
        assert pixels.shape == (len(faces), SIZE, SIZE, 3)
        assert pixels.dtype == np.uint8
        clean = tiny_manifest.aligned_faces.crops(faces, SIZE)
        assert all(np.abs(one.astype(int) - crop).mean() > 0.5 for one, crop in zip(pixels, clean, strict=True))
    trained = tiny_manifest.split("train")["face"].tolist()
    with pytest.raises(FaceReconError, match=r"1 of 2 faces .*freeze"):
        frozen.for_faces("motion", [faces[0], trained[0]])
    with pytest.raises(FaceReconError, match="no preset mild"):
        frozen.for_faces("mild", faces)


def test_faces_come_in_the_order_asked_for(frozen: DegradedSet, faces: list[str]) -> None:
    forward, backward = frozen.for_faces("cctv", faces), frozen.for_faces("cctv", faces[::-1])
    np.testing.assert_array_equal(forward, backward[::-1])
    assert len({one.tobytes() for one in forward}) == len(faces)
    assert frozen.for_faces("cctv", []).shape == (0, SIZE, SIZE, 3)


def test_same_seed_same_bytes(tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str], tmp_path: Path) -> None:
    again = freeze_degradations(tmp_path / "again", tiny_manifest, NAMES[::-1] * 2, SIZE, faces=faces[::-1] * 2)
    assert files(tmp_path / "again") == files(frozen.folder)
    assert again.digest == frozen.digest
    other = freeze_degradations(tmp_path / "again", tiny_manifest, NAMES, SIZE, seed=1)
    assert other.digest != frozen.digest
    assert not np.array_equal(other.for_faces("motion", faces), frozen.for_faces("motion", faces))


def test_nothing_is_made_twice(tiny_manifest: Manifest, frozen: DegradedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {path: path.stat().st_mtime_ns for path in frozen.folder.iterdir()}
    monkeypatch.setattr(frozen_degradations, "degrade", None)
    assert freeze_degradations(frozen.folder, tiny_manifest, NAMES, SIZE) == frozen
    assert {path: path.stat().st_mtime_ns for path in frozen.folder.iterdir()} == times
    assert len(times) == len(NAMES)


def test_a_face_is_degraded_alike_whoever_else_is(
    tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str], tmp_path: Path
) -> None:
    few = freeze_degradations(tmp_path / "few", tiny_manifest, ["cctv"], SIZE, faces=faces[2:4])
    np.testing.assert_array_equal(few.for_faces("cctv", faces[2:4]), frozen.for_faces("cctv", faces[2:4]))
    alone = freeze_degradations(tmp_path / "alone", tiny_manifest, ["cctv"], SIZE)
    assert alone.presets["cctv"] == frozen.presets["cctv"]
    assert alone.digest != frozen.digest


def test_pixels_stay_when_faces_come_and_codecs_change(
    tiny_manifest: Manifest, faces: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only faces that were not there are made by the codec of now."""
    before = freeze_degradations(tmp_path, tiny_manifest, ["cctv"], SIZE, faces=faces[:5])
    monkeypatch.setattr(frozen_degradations, "degrade", lambda image, *_: np.full_like(image, 77))
    after = freeze_degradations(tmp_path, tiny_manifest, ["cctv"], SIZE, faces=faces[3:])
    np.testing.assert_array_equal(after.for_faces("cctv", faces[3:5]), before.for_faces("cctv", faces[3:5]))
    assert (after.for_faces("cctv", faces[5:]) == 77).all()
    assert after.digest != before.digest
    old = load_degradations(tmp_path, before.description)
    np.testing.assert_array_equal(old.for_faces("cctv", faces[:5]), before.for_faces("cctv", faces[:5]))


def test_a_face_that_was_aligned_anew_is_degraded_anew(
    tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny_manifest.faces.copy()
    rows.loc[rows["face"] == faces[1], "crop_sha256"] = "0" * 64
    monkeypatch.setattr(frozen_degradations, "degrade", lambda image, *_: np.full_like(image, 77))
    after = freeze_degradations(frozen.folder, replace(tiny_manifest, faces=rows), ["cctv"], SIZE)
    made = after.for_faces("cctv", faces)
    assert [bool((one == 77).all()) for one in made] == [face == faces[1] for face in faces]


def test_a_preset_that_changes_makes_its_faces_anew(
    tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = replace(PRESETS["motion"], motion=(100.0, 120.0))
    monkeypatch.setitem(presets.PRESETS, "motion", longer)
    with pytest.raises(FaceReconError, match="motion has changed"):
        frozen.degradation("motion", faces[0])
    frozen.for_faces("motion", faces)
    after = freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)
    assert after.degradation("motion", faces[0]).motion >= 100 / 8
    assert not np.array_equal(after.for_faces("motion", faces), frozen.for_faces("motion", faces))


def test_what_was_done_is_known(tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str]) -> None:
    """The kernel that is handed out is the one that made the pixels."""
    for face in faces:
        drawn = frozen.degradation("motion", face)
        made = degrade(tiny_manifest.aligned_faces.crop(face), drawn, np.random.default_rng(0))
        np.testing.assert_array_equal(made, frozen.for_faces("motion", [face])[0])
    assert len({frozen.degradation("motion", face).motion for face in faces}) == len(faces)
    with pytest.raises(FaceReconError, match="no preset mild"):
        frozen.degradation("mild", faces[0])


def test_a_network_that_enlarges_gets_small_faces(
    tiny_manifest: Manifest, frozen: DegradedSet, faces: list[str], tmp_path: Path
) -> None:
    small = freeze_degradations(tmp_path / "cases", tiny_manifest, ["cctv"], SIZE, scale=4)
    assert small.for_faces("cctv", faces).shape == (len(faces), 16, 16, 3)
    assert small.degradation("cctv", faces[0]).width == frozen.degradation("cctv", faces[0]).width
    assert load_degradations(tmp_path / "cases", small.description) == small


def test_robustness_cases_are_frozen_by_their_names(tiny_manifest: Manifest, faces: list[str], tmp_path: Path) -> None:
    made = freeze_degradations(tmp_path, tiny_manifest, ["jpeg_10", "h264_45", "jpeg_90"], SIZE)
    clean = tiny_manifest.aligned_faces.crops(faces, SIZE).astype(int)
    weak, strong = (np.abs(made.for_faces(name, faces) - clean).mean() for name in ("jpeg_90", "jpeg_10"))
    assert weak < strong
    assert draw(presets.find_preset("jpeg_10"), SIZE, np.random.default_rng(0)).jpeg == 10


def test_a_set_survives_json(frozen: DegradedSet, faces: list[str]) -> None:
    description = json.loads(json.dumps(frozen.description))
    loaded = load_degradations(frozen.folder, description)
    assert loaded == frozen
    assert loaded.digest == frozen.digest
    assert loaded.description == frozen.description
    np.testing.assert_array_equal(loaded.for_faces("cctv", faces), frozen.for_faces("cctv", faces))
    turned = {**description, "files": description["files"][::-1]}
    assert load_degradations(frozen.folder, turned).digest == frozen.digest


def test_every_tampered_file_is_told(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    path = frozen.folder / frozen.presets["motion"].file
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = rng.integers(0, len(whole), 40).tolist()
    # the flag that says that the last member is encrypted, too
    places.append(whole.rindex(b"PK\1\2") + 8)
    changed = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
    said: list[str] = []
    for broken in (*changed, whole[: len(whole) // 2], b"", b"not faces"):
        path.write_bytes(broken)
        try:
            again = freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)
        except FaceReconError as error:
            said.append(error.message)
        else:
            # a byte that no pixel depends on, such as a time of the zip's
            np.testing.assert_array_equal(again.presets["motion"].pixels, frozen.presets["motion"].pixels)
    assert len(said) > 38
    assert all(path.name in one and "remove it" in one for one in said)


def test_other_pixels_are_told(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    """The container is whole, but the pixels are not those that were written; or they are those of a forger."""
    path = frozen.folder / frozen.presets["motion"].file
    with np.load(path) as content:
        about, pixels = str(content["about"]), content["pixels"]
    for other in (pixels[::-1], pixels[:1], pixels.view(np.int8)):
        np.savez(path, about=np.array(about), pixels=other)
        with pytest.raises(FaceReconError, match="other degraded faces"):
            freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)
    forged = json.loads(about) | {"pixels_sha256": sha256_bytes(pixels[::-1].tobytes())}
    np.savez(path, about=np.array(json.dumps(forged)), pixels=pixels[::-1])
    with pytest.raises(FaceReconError, match="not hold the described"):
        load_degradations(frozen.folder, frozen.description)
    for about in ("[]", "{}", "no JSON", json.dumps({**forged, "scale": 0})):
        np.savez(path, about=np.array(about), pixels=pixels)
        with pytest.raises(FaceReconError, match="remove it"):
            freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)


def test_files_under_others_names_are_told(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    motion, cctv = (frozen.folder / frozen.presets[name].file for name in NAMES)
    motion.write_bytes(cctv.read_bytes())
    with pytest.raises(FaceReconError, match="than its name says: remove it"):
        freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)
    with pytest.raises(FaceReconError, match="described"):
        load_degradations(frozen.folder, frozen.description)
    motion.unlink()
    with pytest.raises(FaceReconError, match="missing"):
        load_degradations(frozen.folder, frozen.description)


def test_the_digest_is_of_the_pixels_not_of_the_container(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    path = frozen.folder / frozen.presets["motion"].file
    with np.load(path) as content:
        np.savez(path, **content)
    assert freeze_degradations(frozen.folder, tiny_manifest, NAMES, SIZE).digest == frozen.digest


@pytest.mark.parametrize("moment", ["a face is made", "the file is written"])
def test_a_kill_leaves_nothing_half(tiny_manifest: Manifest, frozen: DegradedSet, tmp_path: Path, moment: str) -> None:
    """SIGKILL in the second preset: the first is kept, and the same again ends as if nothing had happened."""
    folder, write = tmp_path / "killed", np.savez_compressed
    child = os.fork()
    if child == 0:
        made = 0

        def dies_making(*arguments: Any) -> np.ndarray:
            nonlocal made
            made += 1
            if made == len(frozen.presets["cctv"].faces) + 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return degrade(*arguments)

        def dies_writing(path: Path, **arrays: Any) -> None:
            write(path, **arrays)
            if "motion" in path.name:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        if moment == "a face is made":
            frozen_degradations.degrade = dies_making  # type: ignore[assignment]
        else:
            np.savez_compressed = dies_writing  # type: ignore[assignment]
        freeze_degradations(folder, tiny_manifest, NAMES, SIZE)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    left = files(folder)
    assert [name for name in left if not name.startswith(TEMPORARY)] == [frozen.presets["cctv"].file]
    freeze_degradations(folder, tiny_manifest, NAMES, SIZE)
    assert files(folder).items() >= files(frozen.folder).items()


def test_a_half_written_file_is_not_read(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    name = frozen.presets["motion"].file
    (frozen.folder / f"{TEMPORARY}{name}").write_bytes(b"half")
    assert freeze_degradations(frozen.folder, tiny_manifest, NAMES, SIZE) == frozen


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The presets whose pixels are read to be kept, in order."""
    real, kept = frozen_degradations._read, []

    def noted(path: Path, keep: bool = False) -> Any:
        if keep:
            kept.append(path.name.partition("-")[0])
        return real(path, keep)

    monkeypatch.setattr(frozen_degradations, "_read", noted)
    return kept


@pytest.mark.parametrize(
    ("room", "expected"),
    [(2, ["cctv", "motion"]), (1, ["cctv", "motion", "cctv"]), (0, ["cctv", "motion", "cctv"])],
    ids=["both", "one", "none"],
)
def test_pixels_are_read_when_they_are_asked_for_and_stay_as_far_as_there_is_room(
    room: int,
    expected: list[str],
    frozen: DegradedSet,
    faces: list[str],
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(faces) * SIZE * SIZE * 3
    monkeypatch.setattr(frozen_degradations, "KEPT_BYTES", room * size)
    loaded = load_degradations(frozen.folder, frozen.description)
    assert (read, loaded.presets["cctv"].nbytes) == ([], size)
    first = loaded.for_faces("cctv", faces)
    for name in ("cctv", "motion", "motion", "cctv"):
        again = loaded.for_faces(name, faces)
    np.testing.assert_array_equal(again, first)
    assert read == expected
    held = {id(each.kept): each.kept for each in loaded.presets.values()}
    assert [len(each._pixels) for each in held.values()] == [max(1, room)]


def test_a_file_that_is_changed_or_gone_after_it_was_loaded_is_told(frozen: DegradedSet, faces: list[str]) -> None:
    loaded = load_degradations(frozen.folder, frozen.description)
    path = frozen.folder / frozen.presets["motion"].file
    with np.load(path) as content:
        about, pixels = json.loads(str(content["about"])), content["pixels"]
    np.savez(path, about=np.array(json.dumps(about)), pixels=pixels[::-1])
    with pytest.raises(FaceReconError, match="other degraded faces"):
        loaded.for_faces("motion", faces)
    forged = about | {"pixels_sha256": sha256_bytes(pixels[::-1].tobytes())}
    np.savez(path, about=np.array(json.dumps(forged)), pixels=pixels[::-1])
    with pytest.raises(FaceReconError, match="changed while it was in use: run the pipeline again"):
        loaded.for_faces("motion", faces)
    path.unlink()
    with pytest.raises(FaceReconError, match="missing"):
        loaded.for_faces("motion", faces)
    assert loaded.for_faces("cctv", faces).shape == (len(faces), SIZE, SIZE, 3)


def test_pixels_too_many_or_too_few_for_their_header_are_told(tiny_manifest: Manifest, frozen: DegradedSet) -> None:
    path = frozen.folder / frozen.presets["motion"].file
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for content in (parts["pixels.npy"] + b"more", parts["pixels.npy"][:-1]):
        with ZipFile(path, "w") as archive:
            archive.writestr("about.npy", parts["about.npy"])
            archive.writestr("pixels.npy", content)
        with pytest.raises(FaceReconError, match=r"not a whole file .* bytes of pixels, expected .*: remove it"):
            freeze_degradations(frozen.folder, tiny_manifest, ["motion"], SIZE)


def test_wrong_requests_are_refused(tiny_manifest: Manifest, tmp_path: Path) -> None:
    for said, arguments in (
        ("no preset of degradations is named 'fog'", (["fog"], SIZE)),
        ("at least one preset", ([], SIZE)),
        ("the aligned faces have 64 px", (["mild"], 128)),
        ("for scale 3", (["mild"], SIZE, 3)),
        ("1 faces are not in the manifest", (["mild"], SIZE, 1, 0, ["nobody"])),
        ("no face is left", (["mild"], SIZE, 1, 0, [])),
    ):
        with pytest.raises(FaceReconError, match=said):
            freeze_degradations(tmp_path, tiny_manifest, *arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
