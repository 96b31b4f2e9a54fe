"""What all sources share: which files are images, in which order, and the registry."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from facerecon.data import sources
from facerecon.data.ingest import ingest
from facerecon.data.listing import PICTURE_SUFFIXES
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES, Photo, Source, SourceContext, image_files, register_source
from facerecon.errors import FaceReconError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in image_files(root)]


def test_files_named_like_images_are_found_at_any_depth_in_a_fixed_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "b/1.png", "a/deep/er/x.jpg", "z.jpg", "A.JPEG", "notes.txt", "b/1.npz", "b/no suffix")
    assert found(tmp_path) == ["A.JPEG", "z.jpg", "a/deep/er/x.jpg", "b/1.png", "b/2.png"]


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_suffixes_in_any_case(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a{suffix}", f"b{suffix.upper()}")
    assert found(tmp_path) == [f"a{suffix}", f"b{suffix.upper()}"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.jpg", "a/.b.jpg", ".git/c.jpg", "a/._photo.jpg", "a/b/.thumbnails/d.jpg", "a/seen.jpg")
    assert found(tmp_path) == ["a/seen.jpg"]


def test_a_root_that_is_hidden_or_a_link_is_read(tmp_path: Path) -> None:
    touch(tmp_path / ".cache", "a/1.png")
    (tmp_path / "link").symlink_to(tmp_path / ".cache")
    assert found(tmp_path / ".cache") == found(tmp_path / "link") == ["a/1.png"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "ada/1.png", "bob/1.png")
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "bob":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FaceReconError, match=r"folder .*bob cannot be read: Permission denied: mend its permissions"):
        found(tmp_path)


def test_a_source_is_registered_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", dict(SOURCES))

    def no_parts(root: Path, uri: str) -> None:
        return None

    def my_layout(root: Path, context: SourceContext) -> Iterator[Photo]:
        yield Photo("a.png")

    @register_source(no_parts)
    def labelled(root: Path, context: SourceContext) -> Iterator[Photo]:
        yield Photo("a.png")

    assert register_source()(my_layout) is my_layout
    assert sources.source_of("my_layout") == Source(my_layout)
    assert sources.source_of("labelled") == Source(labelled, no_parts)
    with pytest.raises(ValueError, match="'my_layout' is registered twice"):
        register_source()(my_layout)


def test_a_source_that_nobody_registered_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match=r"^data\.source: 'unheard' not among archive, .*import the module"):
        ingest(DataSettings(path=str(tmp_path), source="unheard"), tmp_path, tmp_path / "frames")


@pytest.mark.parametrize("name", ["folder", "lfw"])
def test_a_source_opens_no_image_and_names_relative_paths(tmp_path: Path, context: SourceContext, name: str) -> None:
    touch(tmp_path, "Ada_Byron/Ada_Byron_0002.jpg", "Ada_Byron/Ada_Byron_0001.jpg")  # empty: opening them would fail
    photos = list(SOURCES[name].photos(tmp_path, context))
    assert photos == [
        Photo("Ada_Byron/Ada_Byron_0001.jpg", "Ada_Byron"),
        Photo("Ada_Byron/Ada_Byron_0002.jpg", "Ada_Byron"),
    ]


@pytest.mark.parametrize("name", sorted(name for name in SOURCES.keys() - {"folder"} if not SOURCES[name].may_be_empty))
def test_a_folder_in_another_layout_is_an_error(tmp_path: Path, context: SourceContext, name: str) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(FaceReconError, match=rf"^data\.path.*{tmp_path}.*: \S"):
        list(SOURCES[name].photos(tmp_path, context))
    assert not any(context.folder.iterdir())


def test_what_a_source_refuses_is_quarantined_with_its_code_and_reason(
    tmp_path: Path, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choosy(root: Path, context: SourceContext) -> Iterator[Photo]:
        yield Photo("good.png")
        yield Photo("clip.mp4", refused=Refusal(Code.BAD_CLIP, "clip: holds no video"))

    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    monkeypatch.setitem(sources.SOURCES, "choosy", Source(choosy))
    manifest = ingest(DataSettings(path=str(tmp_path), source="choosy"), tmp_path, context.folder)
    assert manifest.faces["uri"].tolist() == ["good.png"]
    assert manifest.quarantine.to_numpy().tolist() == [["choosy", "clip.mp4", "bad_clip", "clip: holds no video"]]
