"""Which folder names the person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.people import named_by_folders, names_alike, person_name
from facerecon.errors import FaceReconError


def named(*paths: str, level: int | None = None) -> list[str | None]:
    return named_by_folders([tuple(path.split("/")[:-1]) for path in paths], level, "data")


@pytest.mark.parametrize(
    ("paths", "people"),
    [
        (["ada/1", "bob/1"], ["ada", "bob"]),
        (["faces/ada/1", "faces/bob/1"], ["ada", "bob"]),
        (["lfw/lfw/ada/1", "lfw/lfw/bob/1"], ["ada", "bob"]),
        (["faces/stray", "faces/ada/1", "faces/bob/1"], [None, "ada", "bob"]),
        (["stray", "ada/1", "bob/1"], [None, "ada", "bob"]),
        (["ada/2019/1", "bob/2019/1"], ["ada", "bob"]),
        (["ada/1", "ada/2"], ["ada", "ada"]),
        (["ada/1", "ada/2019/1"], ["ada", "ada"]),
        (["1", "2"], [None, None]),
        (["ada/1", "Dev/1"], ["ada", "Dev"]),
    ],
)
def test_the_first_folder_names_the_person_but_for_wrappers(paths: list[str], people: list[str | None]) -> None:
    assert named(*paths) == people


@pytest.mark.parametrize(
    ("paths", "remedy"),
    [
        (["train/ada/1", "test/ada/2"], "data.identity_level: 2"),
        (["faces/train/ada/1", "faces/val/ada/2"], "data.identity_level: 3"),
        (["batch_00/ada/1", "batch_01/ada/2", "stray"], "data.identity_level: 2"),
        (["part-1/1", "part-2/2"], "data.identity_level: 0, which names nobody"),
        (["Training Set/ada/1", "Validation/ada/1"], "data.identity_level: 2"),
    ],
)
def test_folders_that_part_a_data_set_name_nobody(paths: list[str], remedy: str) -> None:
    with pytest.raises(FaceReconError, match=rf"^data: the folders .* name no person.*{remedy}"):
        named(*paths)


@pytest.mark.parametrize(
    ("level", "people"),
    [(1, ["train", None]), (2, ["ada", None]), (-1, ["2019", None]), (0, [None, None]), (4, [None] * 2)],
)
def test_a_level_that_is_set_is_followed(level: int, people: list[str | None]) -> None:
    assert named("train/ada/2019/1", "stray", level=level) == people


FOLDERS = st.lists(st.sampled_from(["ada", "bob", "2019", "x"]), max_size=3).map(tuple)


@given(st.lists(FOLDERS, min_size=1))
def test_a_stray_image_changes_nobody_elses_name(folders: list[tuple[str, ...]]) -> None:
    assert named_by_folders([*folders, ()], None, "data") == [*named_by_folders(folders, None, "data"), None]


def test_names_are_compared_composed() -> None:
    assert person_name("Jose\u0301 ") == "Jos\u00e9"
    assert person_name(None) == person_name("  ") == ""
    assert names_alike({"Ada", "ADA", "Bob"}) == [["ADA", "Ada"]]
