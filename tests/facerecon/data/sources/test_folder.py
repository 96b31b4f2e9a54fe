"""A folder of images: the first folder below the root names the person."""

from pathlib import Path

import pytest

from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources.folder import folder


def photos(root: Path, context: SourceContext, *names: str) -> list[Photo]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return list(folder(root, context))


def test_the_first_folder_names_the_person(tmp_path: Path, context: SourceContext) -> None:
    assert photos(tmp_path, context, "ada/1.png", "ada/2020/summer/2.png", "bob/1.png") == [
        Photo("ada/1.png", "ada"),
        Photo("ada/2020/summer/2.png", "ada"),
        Photo("bob/1.png", "bob"),
    ]


def test_a_photo_in_no_folder_shows_nobody_known(tmp_path: Path, context: SourceContext) -> None:
    assert photos(tmp_path, context, "1.png") == [Photo("1.png", None)]


@pytest.mark.parametrize("name", ["Ada Byron", "Åse Ødegård", "安倍", "line\nbreak", "a,b;c", "'\"", "NA", "0001"])
def test_any_name_of_a_person(tmp_path: Path, context: SourceContext, name: str) -> None:
    assert photos(tmp_path, context, f"{name}/{name}.png") == [Photo(f"{name}/{name}.png", name)]


def test_an_empty_folder_has_no_photo(tmp_path: Path, context: SourceContext) -> None:
    (tmp_path / "ada").mkdir()
    assert photos(tmp_path, context) == []
