"""A run in an image knows the commit and the difference that the image was made of, without a repository."""

import json
from pathlib import Path

import pytest

from facerecon.errors import FaceReconError
from ops import lineage
from ops.containers.image import Image, running_image


def baked(folder: Path, commit: str, difference: bytes) -> Path:
    folder.mkdir()
    (folder / "about.json").write_text(json.dumps({"commit": commit}))
    (folder / "uncommitted.diff").write_bytes(difference)
    return folder


def test_outside_of_an_image_there_is_none(tmp_path: Path) -> None:
    assert running_image(tmp_path / ".image") is None


def test_commit_and_difference_are_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = running_image(baked(tmp_path / ".image", "abc", b"+ caf\xe9\n"))
    assert image == Image("abc", "+ caf\udce9\n")
    monkeypatch.setattr(lineage, "running_image", lambda: image)
    assert (lineage.commit(), lineage.uncommitted_diff()) == ("abc", "+ caf\udce9\n")


def test_an_image_that_does_not_say_what_it_is_made_of_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".image").mkdir()
    with pytest.raises(FaceReconError, match="does not say what this image was made of"):
        running_image(tmp_path / ".image")
