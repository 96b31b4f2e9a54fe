"""YouTube Faces with keypoints: arrays of frames and points, one npz a clip."""

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facerecon.data.containers import read_bytes
from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import DataSettings, YoutubeFacesSettings
from facerecon.data.sources import SourceContext
from facerecon.data.sources import youtube_faces as module
from facerecon.data.sources.youtube_faces import youtube_faces
from facerecon.data.store import GIVEN_POINTS
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError, read_rgb


def clip(frames: int = 12, height: int = 10, width: int = 14) -> dict[str, NDArray[Any]]:
    """A clip's arrays in their true form; frame n is of the shade 10 n, its eyes lie at (5 + n / 4, 6)."""
    images = np.empty((height, width, 3, frames), np.uint8)
    images[:] = np.arange(frames, dtype=np.uint8) * 10
    points = np.zeros((68, 3, frames))
    points[36:48, 0] = 5 + np.arange(frames) / 4
    points[36:48, 1] = 6
    return {
        "colorImages": images,
        "landmarks3D": points,
        "landmarks2D": points[:, :2],
        "boundingBox": np.zeros((4, 2, frames)),
    }


def write(path: Path, **arrays: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **(arrays or clip()))


def npy(header: str, body: bytes = b"") -> bytes:
    """A .npy file with any header."""
    padded = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + body


def test_frames_are_spread_evenly_over_the_clip(tmp_path: Path, context: SourceContext) -> None:
    write(tmp_path / "full_1" / "Al_Gore_0.npz")
    photos = list(youtube_faces(tmp_path, context))
    assert [photo.frame for photo in photos] == [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    third = photos[2]
    assert third.uri == "full_1/Al_Gore_0.npz#frame=2"
    assert third.identity == "Al_Gore"
    assert third.clip == third.track == "full_1/Al_Gore_0.npz"
    assert third.anchor == (5.5, 6.0)
    image = read_rgb(read_bytes(context.folder, third.file))
    assert image.shape == (10, 14, 3)
    assert (image == 20).all()


def test_points_are_truth_beside_each_frame(tmp_path: Path, context: SourceContext) -> None:
    arrays = clip(3)
    arrays["landmarks3D"][:, :, 0] = np.arange(204).reshape(68, 3) % 10
    arrays["landmarks3D"][36:48, 0, 1] = 20  # beyond the width of 14
    arrays["landmarks3D"][4, 2, 2] = np.nan
    write(tmp_path / "Al_Gore_0.npz", **arrays)
    first, *others = youtube_faces(tmp_path, context)
    told = module.truth(context.folder, first.file)
    np.testing.assert_array_equal(told[GIVEN_POINTS], arrays["landmarks3D"][:, :, 0])
    assert told[GIVEN_POINTS].dtype == np.float32
    for photo in others:
        assert module.truth(context.folder, photo.file)[GIVEN_POINTS].shape == (0, 3), "unusable, and the frame stays"
    with pytest.raises(UnreadableImageError, match="nothing is told of 000077"):
        module.truth(context.folder, first.file.replace("000000", "000077"))


@pytest.mark.parametrize(("asked", "got"), [(1, [0]), (2, [0, 11]), (12, list(range(12))), (500, list(range(12)))])
def test_so_many_frames_as_set(tmp_path: Path, context: SourceContext, asked: int, got: list[int]) -> None:
    write(tmp_path / "Al_Gore_0.npz")
    settings = DataSettings(youtube_faces=YoutubeFacesSettings(frames_per_clip=asked))
    assert [photo.frame for photo in youtube_faces(tmp_path, SourceContext(settings, context.folder))] == got


def test_all_clips_of_a_person_are_one_identity_and_tracks_of_their_own(tmp_path: Path, context: SourceContext) -> None:
    for name in ("a/Al_Gore_0", "a/Al_Gore_3", "b/Zoë_Ødegård_12"):
        write(tmp_path / f"{name}.npz", **clip(2))
    (tmp_path / "youtube_faces_with_keypoints_full.csv").write_text("videoID,personName\n")
    found = {(photo.identity, photo.track) for photo in youtube_faces(tmp_path, context)}
    assert found == {
        ("Al_Gore", "a/Al_Gore_0.npz"),
        ("Al_Gore", "a/Al_Gore_3.npz"),
        ("Zoë_Ødegård", "b/Zoë_Ødegård_12.npz"),
    }


def test_a_clip_is_written_once_and_its_frames_hold_pixels_alone(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "Al_Gore_0.npz")
    first = list(youtube_faces(tmp_path, context))
    [kept] = context.folder.iterdir()
    content = kept.read_bytes()
    (tmp_path / "Al_Gore_0.npz").rename(tmp_path / "Al_Gore_7.npz")  # the same clip under another name
    monkeypatch.setattr(module, "_read", None)
    again = list(youtube_faces(tmp_path, context))
    assert [photo.file for photo in again] == [photo.file for photo in first]
    monkeypatch.undo()
    kept.unlink()
    list(youtube_faces(tmp_path, context))
    assert kept.read_bytes() == content
    with zipfile.ZipFile(kept) as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert not Image.open(io.BytesIO(archive.read("000000.png"))).info


def test_eyes_outside_the_frame_are_no_anchor(tmp_path: Path, context: SourceContext) -> None:
    arrays = clip(3)
    arrays["landmarks3D"][36:48, 0, 1] = 99
    arrays["landmarks3D"][36, 0, 2] = np.nan
    write(tmp_path / "Al_Gore_0.npz", **arrays)
    assert [photo.anchor for photo in youtube_faces(tmp_path, context)] == [(5.0, 6.0), None, None]


def test_arrays_in_another_order_in_memory_are_the_same(tmp_path: Path, context: SourceContext) -> None:
    arrays = clip(3)
    write(tmp_path / "Al_Gore_0.npz", **{name: np.asfortranarray(array) for name, array in arrays.items()})
    photos = list(youtube_faces(tmp_path, context))
    assert [read_rgb(read_bytes(context.folder, photo.file))[0, 0, 0] for photo in photos] == [0, 10, 20]


def pickled() -> dict[str, Any]:
    return {**clip(), "colorImages": np.array([{"evil": print}], dtype=object)}


def without(name: str) -> dict[str, Any]:
    return {key: array for key, array in clip().items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (pickled(), "holds pickled objects"),
        ({**clip(), "landmarks3D": np.array([None] * 3)}, "holds pickled objects"),
        (without("colorImages"), "no colorImages.npy in it"),
        (without("landmarks3D"), "no landmarks3D.npy in it"),
        ({**clip(), "colorImages": clip()["colorImages"].astype(np.float32)}, "colorImages is float32"),
        ({**clip(), "colorImages": clip()["colorImages"][:, :, :1]}, "not uint8"),
        ({**clip(), "colorImages": clip()["colorImages"][..., 0]}, "not uint8"),
        ({**clip(), "landmarks3D": clip(5)["landmarks3D"]}, r"not \(68, 3, 12\)"),
        ({**clip(), "landmarks3D": clip()["landmarks3D"].astype(np.int64)}, "landmarks3D is int64"),
        (clip(0), "it has no frame"),
        (clip(2, height=0), "it has no frame"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named_with_its_reason(
    tmp_path: Path, context: SourceContext, arrays: dict[str, Any], reason: str
) -> None:
    write(tmp_path / "Al_Gore_0.npz", **arrays)
    write(tmp_path / "Bob_Hope_0.npz", **clip(1))
    refused, good = youtube_faces(tmp_path, context)
    assert refused.uri == "Al_Gore_0.npz"
    assert refused.refused
    assert refused.refused.code == Code.BAD_CLIP
    assert refused.refused.reason.startswith("clip: ")
    assert re.search(reason, refused.refused.reason)
    assert good.refused is None
    assert len(list(context.folder.iterdir())) == 1, "nothing is left of the other"


HEADER = "{{'descr': '|u1', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (npy(HEADER.format("(100000, 100000, 3, 1000)")), "is too large"),
        (npy(HEADER.format("(9223372036854775807, 9223372036854775807, 3, 8)")), "is too large"),
        (npy(HEADER.format("(-10, -14, 3, 12)"), b"x" * 5040), "not as large as its header says"),
        (npy(HEADER.format("(10, 14, 3, 12)"), b"x" * 100), "not as large as its header says"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"), "holds pickled objects"),
        (npy("__import__('os').abort()"), "a broken npz"),
        (npy("(" * 100), "a broken npz"),
        (b"\x93NUMPY\x09\x00", "version"),
        (b"", "a broken npz"),
        (b"text", "a broken npz"),
    ],
    ids=["absurd", "overflow", "negative", "short", "pickle", "code", "nested", "version", "empty", "text"],
)
def test_what_a_header_says_is_judged_before_it_is_believed(
    tmp_path: Path, context: SourceContext, images: bytes, reason: str
) -> None:
    points = io.BytesIO()
    np.save(points, clip()["landmarks3D"])
    with zipfile.ZipFile(tmp_path / "Al_Gore_0.npz", "w") as archive:
        archive.writestr("colorImages.npy", images)
        archive.writestr("landmarks3D.npy", points.getvalue())
    [photo] = youtube_faces(tmp_path, context)
    assert photo.refused
    assert photo.refused.reason.startswith("clip: ")
    assert reason in photo.refused.reason
    assert next(youtube_faces(tmp_path, context)).refused == photo.refused, "the same words each time"
    assert not any(context.folder.iterdir())


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_what_is_no_npz_is_named_with_its_reason(tmp_path: Path, context: SourceContext, content: bytes) -> None:
    (tmp_path / "Al_Gore_0.npz").write_bytes(content)
    [photo] = youtube_faces(tmp_path, context)
    assert photo.refused.reason.startswith("clip: no zip archive")


def test_a_clip_that_cannot_be_opened_is_named_with_its_reason(tmp_path: Path, context: SourceContext) -> None:
    os.mkfifo(tmp_path / "Al_Gore_0.npz")
    (tmp_path / "Al_Gore_1.npz").symlink_to(tmp_path / "nowhere.npz")
    assert [photo.refused for photo in youtube_faces(tmp_path, context)] == [
        Refusal(Code.BAD_CLIP, "clip: not a file"),
        Refusal(Code.UNREADABLE, "cannot be read: No such file or directory"),
    ]


def test_a_truncated_clip_is_named_with_its_reason(tmp_path: Path, context: SourceContext) -> None:
    write(tmp_path / "Al_Gore_0.npz")
    (tmp_path / "Al_Gore_0.npz").write_bytes((tmp_path / "Al_Gore_0.npz").read_bytes()[:-200])
    [photo] = youtube_faces(tmp_path, context)
    assert photo.refused.reason.startswith("clip: no zip archive, or a truncated one")


def test_a_folder_without_clips_is_an_error(tmp_path: Path, context: SourceContext) -> None:
    write(tmp_path / "noname.npz")
    with pytest.raises(FaceReconError, match=r"no clip named <Person_Name>_<number>\.npz"):
        list(youtube_faces(tmp_path, context))


def test_from_the_layout_to_aligned_faces(
    tmp_path: Path,
    photographs: list[Path],
    context: SourceContext,
    ingested: Callable[..., Manifest],
    cut_out: Callable[[Manifest], Manifest],
) -> None:
    # a clip that moves over one face, beside another one that its points do not mean
    face, other = (np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in photographs[:3:2])
    frames = [np.roll(np.hstack([face, other]), step, axis=0) for step in (0, 4, 8)]
    points = np.zeros((68, 3, 3), np.float64)
    points[36:48, 0], points[36:48, 1] = 128, 118
    write(tmp_path / "Al_Gore_0.npz", colorImages=np.stack(frames, axis=3), landmarks3D=points)
    faces = cut_out(ingested("youtube_faces")).faces
    assert faces["frame"].tolist() == [0, 1, 2]
    assert faces["identity"].unique().tolist() == ["Al_Gore"]
    assert faces["split"].nunique() == faces["track"].nunique() == 1
    assert (faces["box_x"] + faces["box_width"] / 2 < 256).all()
    assert json.loads(read_bytes(context.folder, f"{next(context.folder.iterdir()).name}!/index.json"))
