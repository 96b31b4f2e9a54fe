"""LFW's layout: First_Last/First_Last_0001.jpg, and its lists of pairs."""

from pathlib import Path

import pytest

from facerecon.data.sources import Photo, SourceContext
from facerecon.data.sources.lfw import Pair, lfw, read_pairs
from facerecon.errors import FaceReconError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_people_and_photos(tmp_path: Path, context: SourceContext) -> None:
    touch(tmp_path, "Al_Pacino/Al_Pacino_0002.jpg", "Al_Pacino/Al_Pacino_0001.jpg", "Jan-Ove_W/Jan-Ove_W_0001.jpg")
    assert list(lfw(tmp_path, context)) == [
        Photo("Al_Pacino/Al_Pacino_0001.jpg", "Al_Pacino"),
        Photo("Al_Pacino/Al_Pacino_0002.jpg", "Al_Pacino"),
        Photo("Jan-Ove_W/Jan-Ove_W_0001.jpg", "Jan-Ove_W"),
    ]


def test_the_folder_may_lie_deeper(tmp_path: Path, context: SourceContext) -> None:
    touch(tmp_path, "lfw-deepfunneled/Al_Pacino/Al_Pacino_0001.jpg")
    assert list(lfw(tmp_path, context)) == [Photo("lfw-deepfunneled/Al_Pacino/Al_Pacino_0001.jpg", "Al_Pacino")]


def test_other_files_are_passed_over(tmp_path: Path, context: SourceContext) -> None:
    touch(
        tmp_path, "A_B/A_B_0001.jpg", "A_B/A_B_1.jpg", "A_B/C_D_0001.jpg", "A_B/A_B_00011.jpg", "A_B_0001.jpg", "x.png"
    )
    assert [photo.uri for photo in lfw(tmp_path, context)] == ["A_B/A_B_0001.jpg"]


@pytest.mark.parametrize("names", [(), ("ada/1.png",), ("A_B/A_B_0001.txt",)])
def test_another_layout_is_an_error_with_a_hint(tmp_path: Path, context: SourceContext, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(
        FaceReconError, match=r"no file named <Person>/<Person>_0001.jpg .* set data.source to 'folder'"
    ) as e:
        list(lfw(tmp_path, context))
    assert str(tmp_path) in e.value.message


VIEW_2 = "2\t1\nAbel_Pacheco\t1\t4\nAl_Gore\t3\tBob_Hope\t12\nAda_B\t1\t2\nAda_B\t1\tZoë_C\t2\n"


class TestPairs:
    def test_folds_of_matched_and_mismatched_pairs(self, tmp_path: Path) -> None:
        (tmp_path / "pairs.txt").write_text(VIEW_2, encoding="utf-8")
        assert read_pairs(tmp_path / "pairs.txt") == [
            Pair("Abel_Pacheco/Abel_Pacheco_0001.jpg", "Abel_Pacheco/Abel_Pacheco_0004.jpg", True, 0),
            Pair("Al_Gore/Al_Gore_0003.jpg", "Bob_Hope/Bob_Hope_0012.jpg", False, 0),
            Pair("Ada_B/Ada_B_0001.jpg", "Ada_B/Ada_B_0002.jpg", True, 1),
            Pair("Ada_B/Ada_B_0001.jpg", "Zoë_C/Zoë_C_0002.jpg", False, 1),
        ]

    def test_the_lists_of_view_1_are_one_fold(self, tmp_path: Path) -> None:
        (tmp_path / "pairsDevTest.txt").write_text("1\nA_B\t1\t2\nA_B\t1\tC_D\t1\n")
        assert [(pair.same, pair.fold) for pair in read_pairs(tmp_path / "pairsDevTest.txt")] == [(True, 0), (False, 0)]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "first line is no number of folds"),
            ("<html>", "first line is no number of folds"),
            ("2 300\nA_B\t1\t2\n", "announces 1200 pairs and has 1: download it again"),
            ("1\nA_B\t1\t2\nA_B\tone\tC_D\t1\n", "line 3: no pair"),
            ("1\nA_B\t1\t2\nA_B\n", "line 3: no pair"),
        ],
    )
    def test_another_file_is_an_error_that_says_where(self, tmp_path: Path, text: str, problem: str) -> None:
        (tmp_path / "pairs.txt").write_text(text)
        with pytest.raises(FaceReconError, match=problem) as caught:
            read_pairs(tmp_path / "pairs.txt")
        assert str(tmp_path) in caught.value.message

    def test_a_missing_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FaceReconError, match=r"cannot be read .*: give its pairs\.txt"):
            read_pairs(tmp_path / "pairs.txt")
