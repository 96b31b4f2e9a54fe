"""LFW's layout: First_Last/First_Last_0001.jpg."""

from pathlib import Path

import pytest

from facerecon.data.sources import Photo
from facerecon.data.sources.lfw import lfw
from facerecon.errors import FaceReconError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_people_and_photos(tmp_path: Path) -> None:
    touch(tmp_path, "Al_Pacino/Al_Pacino_0002.jpg", "Al_Pacino/Al_Pacino_0001.jpg", "Jan-Ove_W/Jan-Ove_W_0001.jpg")
    assert list(lfw(tmp_path)) == [
        Photo("Al_Pacino/Al_Pacino_0001.jpg", "Al_Pacino"),
        Photo("Al_Pacino/Al_Pacino_0002.jpg", "Al_Pacino"),
        Photo("Jan-Ove_W/Jan-Ove_W_0001.jpg", "Jan-Ove_W"),
    ]


def test_the_folder_may_lie_deeper(tmp_path: Path) -> None:
    touch(tmp_path, "lfw-deepfunneled/Al_Pacino/Al_Pacino_0001.jpg")
    assert list(lfw(tmp_path)) == [Photo("lfw-deepfunneled/Al_Pacino/Al_Pacino_0001.jpg", "Al_Pacino")]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path, "A_B/A_B_0001.jpg", "A_B/A_B_1.jpg", "A_B/C_D_0001.jpg", "A_B/A_B_00011.jpg", "A_B_0001.jpg", "x.png"
    )
    assert [photo.uri for photo in lfw(tmp_path)] == ["A_B/A_B_0001.jpg"]


@pytest.mark.parametrize("names", [(), ("ada/1.png",), ("A_B/A_B_0001.txt",)])
def test_another_layout_is_an_error_with_a_hint(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(
        FaceReconError, match=r"no file named <Person>/<Person>_0001.jpg .* set data.source to 'folder'"
    ) as e:
        list(lfw(tmp_path))
    assert str(tmp_path) in e.value.message
