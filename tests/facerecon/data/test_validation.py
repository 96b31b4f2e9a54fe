"""Validation: good data passes; what is wrong with other data is named with its expectation and its rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facerecon.config.validation import ValidationSettings
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest
from facerecon.data.validation import Outcome, validate
from facerecon.errors import FaceReconError


def row(number: int) -> dict[str, Any]:
    """A good face: two photos a person, one person a split."""
    person, sha256 = number // 2, f"{number:064x}"
    photo = (sha256, f"p{person}/{number}.png", sha256, "folder", f"p{person}", SPLITS[person % 4])
    crop = (f"00/{sha256}-0.png", f"{number + 1000:064x}")
    numbers = (1.0, 2.0, 100.0, 120.0, 150.0 + number, 0.05, 3.0, -2.0, 1.0, 300.0, 120.0)
    return dict(zip([*PHOTO_COLUMNS, *FACE_COLUMNS], photo + crop + numbers, strict=True))


@pytest.fixture
def good() -> Manifest:
    return Manifest("/photos", pd.DataFrame([row(number) for number in range(12)]), store="/store", size=64)


def broken(manifest: Manifest, column: str, value: object, *rows: int) -> Manifest:
    """The manifest with ``value`` in ``column`` of some rows."""
    faces = manifest.faces.astype({column: object})
    faces.loc[list(rows), column] = value
    return replace(manifest, faces=faces.infer_objects())


def refused(manifest: Manifest, reasons: list[str]) -> Manifest:
    names = [f"{number}.png" for number in range(len(reasons))]
    return replace(manifest, quarantine=pd.DataFrame({"uri": names, "reason": reasons}, dtype=str))


def refusal(manifest: Manifest, **options: Any) -> str:
    with pytest.raises(FaceReconError, match=r"^validation: .* failed.*mend the data, or change the bounds") as caught:
        validate(manifest, ValidationSettings(**options))
    return caught.value.message


def test_drawn_faces_pass(aligned: Manifest) -> None:
    outcomes = validate(aligned, ValidationSettings())
    assert len(outcomes) >= 30
    assert all(outcome.success and outcome.checked for outcome in outcomes)


def test_every_expectation_is_told_once_with_what_was_seen(good: Manifest) -> None:
    outcomes = validate(good, ValidationSettings())
    assert len({outcome.expectation for outcome in outcomes}) == len(outcomes)
    assert Outcome("expect_table_row_count_to_be_between(min_value=8)", True, "saw 12", []) in outcomes
    for column in (*PHOTO_COLUMNS, *FACE_COLUMNS):
        assert Outcome(f"expect_column_values_to_not_be_null({column})", True, "0 of 12 values", []) in outcomes


def test_an_identity_in_two_splits(good: Manifest) -> None:
    message = refusal(broken(good, "split", "test", 5))
    assert "expect_column_values_to_be_between(splits, min_value=1.0, max_value=1.0) failed: 1 of 6 values" in message
    assert "first rows: p2:" in message


def test_two_photos_with_the_same_bytes(good: Manifest) -> None:
    message = refusal(broken(good, "sha256", good.faces.loc[0, "sha256"], 3))
    assert "expect_column_values_to_be_unique(sha256) failed: 2 of 12 values" in message
    assert "first rows: p0/0.png, p1/3.png" in message


def test_two_faces_of_one_photo_are_no_duplicates(good: Manifest) -> None:
    second = {**row(11), "face": f"{11:064x}-1", "crop": "00/b.png", "crop_sha256": "b" * 64}
    validate(replace(good, faces=pd.concat([good.faces, pd.DataFrame([second])])), ValidationSettings())


def test_two_faces_of_one_name(good: Manifest) -> None:
    message = refusal(broken(good, "face", good.faces.loc[0, "face"], 3))
    assert "expect_column_values_to_be_unique(face) failed: 2 of 12 values" in message


@pytest.mark.parametrize("column", ["identity", "yaw"])
def test_a_value_that_is_missing(good: Manifest, column: str) -> None:
    message = refusal(broken(good, column, None, 3, 4))
    assert f"expect_column_values_to_not_be_null({column}) failed: 2 of 12 values" in message
    assert "first rows: p1/3.png, p2/4.png" in message


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        ("split", "holiday", "expect_column_values_to_be_in_set(split, value_set=['train', 'val', 'gate', 'test'])"),
        ("sha256", "abc", "expect_column_values_to_match_regex(sha256"),
        ("crop_sha256", "G" * 64, "expect_column_values_to_match_regex(crop_sha256"),
        ("quad", 63.9, "expect_column_values_to_be_between(quad, min_value=64.0)"),
        ("padding", 1.5, "expect_column_values_to_be_between(padding, min_value=0.0, max_value=1.0)"),
    ],
)
def test_a_single_value_that_cannot_be(good: Manifest, column: str, value: object, expectation: str) -> None:
    message = refusal(broken(good, column, value, 3))
    assert expectation in message
    assert f"1 of 12 values such as {value}; first rows: p1/3.png" in message


@pytest.mark.parametrize(
    ("column", "value", "options"),
    [
        ("brightness", 250.0, {}),
        ("brightness", 7.0, {}),
        ("brightness", 120.0, {"brightness": (130, 200)}),
        ("sharpness", 10.0, {"min_sharpness": 20}),
        ("yaw", -50.0, {"max_yaw": 45}),
        ("yaw", 50.0, {"max_yaw": 45}),
    ],
)
def test_most_values_lie_in_the_ranges_asked_for(
    good: Manifest, column: str, value: float, options: dict[str, Any]
) -> None:
    message = refusal(broken(good, column, value, *range(3)), mostly=0.8, **options)
    assert f"expect_column_values_to_be_between({column}, mostly=0.8, " in message
    assert f"such as {value}" in message
    assert "p0/0.png" in message


def test_a_few_values_may_lie_outside_the_ranges(good: Manifest) -> None:
    manifest = broken(broken(good, "brightness", 250.0, *range(3)), "yaw", -100.0, *range(3, 6))
    validate(manifest, ValidationSettings(mostly=0.75))


def test_too_few_faces(good: Manifest) -> None:
    message = refusal(replace(good, faces=good.faces.iloc[:7]))
    assert "expect_table_row_count_to_be_between(min_value=8) failed: saw 7" in message
    validate(replace(good, faces=good.faces.iloc[:7]), ValidationSettings(min_faces=7))
    assert "expect_table_row_count_to_be_between" in refusal(replace(good, faces=good.faces.iloc[:0]))


def test_too_few_photos_in_which_a_face_is_found(good: Manifest) -> None:
    validate(refused(good, ["no face found"] * 3), ValidationSettings(min_found_share=0.8))  # 12 of 15
    message = refusal(refused(good, ["no face found"] * 3 + ["2 faces found"]), min_found_share=0.8)
    assert "expect_column_values_to_be_between(share_of_faces_found, min_value=0.8) failed" in message
    assert "such as 0.75;" in message


def test_other_reasons_do_not_count_as_not_found(good: Manifest) -> None:
    reasons = [
        "duplicate of no face found/2 faces found.png",
        "face too small: 20 px for a crop of 64 px",
        "cannot be decoded: not an image",
        "changed since it was listed",
    ]
    validate(refused(good, reasons * 5), ValidationSettings(min_found_share=1.0))


@pytest.mark.parametrize("change", ["a column less", "a column more", "not aligned"])
def test_other_columns(good: Manifest, change: str) -> None:
    faces = {
        "a column less": good.faces.drop(columns="yaw"),
        "a column more": good.faces.assign(note="x"),
        "not aligned": good.faces[list(PHOTO_COLUMNS)],
    }[change]
    assert refusal(replace(good, faces=faces)).startswith("validation: expect_table_columns_to_match_set(")


def test_a_check_that_cannot_be_made_says_why(good: Manifest) -> None:
    message = refusal(replace(good, faces=good.faces.assign(yaw="left")))
    assert "expect_column_values_to_be_between(yaw" in message
    assert "must either be None or of the same type" in message


def test_several_failures_are_counted(good: Manifest) -> None:
    message = refusal(broken(broken(good, "quad", 1.0, 3), "padding", 2.0, 4))
    assert "(and 1 more)" in message
    assert "\n" not in message


def test_any_name(good: Manifest) -> None:
    names = {"p0": "line\nbreak", "p1": "安倍", "p2": "a,b;c\"d'{}%s", "p3": "NA", "p4": "0001", "p5": "None"}
    faces = good.faces.assign(identity=good.faces["identity"].replace(names))
    faces["uri"] = faces["identity"] + "/" + faces["face"] + ".png"
    validate(replace(good, faces=faces), ValidationSettings())


def test_the_order_of_rows_and_their_index_do_not_matter(good: Manifest) -> None:
    faces = broken(good, "quad", 1.0, 3).faces.sample(frac=1, random_state=0)
    faces.index = [7] * len(faces)
    assert "first rows: p1/3.png" in refusal(replace(good, faces=faces))


def test_nothing_is_left_behind_or_printed(
    good: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = good.digest
    validate(good, ValidationSettings())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert replace(good).digest == before
