"""Validation: good data passes; what is wrong with other data is named with its expectation and its rows."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest
from facerecon.data.quarantine import Code, Refusal, quarantine_table
from facerecon.data.settings import SplitShares
from facerecon.data.validation.check import Validation, validate
from facerecon.data.validation.outcomes import Outcome
from facerecon.data.validation.settings import NearDuplicateSettings, ValidationSettings
from facerecon.data.validation.suites import resolve_suites
from facerecon.errors import FaceReconError

PROJECT = Path(__file__).parents[4]
DEFAULT = resolve_suites(ValidationSettings(), PROJECT)
BETWEEN = "ExpectColumnValuesToBeBetween"


def default(table: str, *columns: str) -> ValidationSettings:
    """The default suite of one table; of it, if given, only what names one of ``columns``."""
    assert isinstance(DEFAULT.suites, dict)
    chosen = [
        entry
        for entry in DEFAULT.suites[table]
        if not columns or {*columns} & {*([entry.get("column")] if isinstance(entry.get("column"), str) else ())}
    ]
    assert chosen
    return ValidationSettings(suites={table: chosen})


def asking(table: str, expectation: str, **arguments: Any) -> ValidationSettings:
    return ValidationSettings(suites={table: [{"expectation": expectation, **arguments}]})


def broken(manifest: Manifest, column: str, value: object, *rows: int) -> Manifest:
    """The manifest with ``value`` in ``column`` of some rows."""
    faces = manifest.faces.astype({column: object})
    faces.loc[list(rows), column] = value
    return replace(manifest, faces=faces.infer_objects())


def refused(manifest: Manifest, codes: list[Code]) -> Manifest:
    rows = [("folder", f"{number}.png", Refusal(code, "no face found")) for number, code in enumerate(codes)]
    return replace(manifest, quarantine=quarantine_table(rows))


def refusal(manifest: Manifest, settings: ValidationSettings) -> str:
    ending = "mend the data, or change what parameters.validation.suites asks of it"
    with pytest.raises(FaceReconError, match=rf"^validation: .* failed.*{ending}$") as caught:
        validate(manifest, settings)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.fixture(scope="module")
def drawn(aligned: Manifest) -> Validation:
    """Faces that were drawn and aligned, checked against the default suites."""
    return validate(aligned, DEFAULT)


def test_drawn_faces_pass(drawn: Validation) -> None:
    outcomes = drawn.docs.outcomes
    assert len(outcomes) >= 60
    assert all(outcome.checked for outcome in outcomes)
    assert all(outcome.success for outcome in outcomes if outcome.severity == "fail")


def test_every_expectation_is_told_once_with_what_was_seen(drawn: Validation) -> None:
    outcomes = drawn.docs.outcomes
    assert len({(outcome.table, outcome.expectation) for outcome in outcomes}) == len(outcomes)
    assert Outcome("faces", "expect_table_row_count_to_be_between(min_value=8)", True, "saw 16", []) in outcomes
    assert Outcome("faces", "expect_column_values_to_not_be_null(yaw)", True, "0 of 16 values", []) in outcomes


def test_what_is_only_warned_of_is_logged_told_and_lets_the_run_go_on(
    drawn: Validation, aligned: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight people in four splits are too few for each."""
    (few,) = [warning for warning in drawn.docs.warnings if warning.table == "splits"]
    assert few.said.startswith("splits: expect_column_values_to_be_between(identities, min_value=6.0) failed: ")
    assert few.rows
    with caplog.at_level(logging.WARNING):
        validate(aligned, default("splits"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("facerecon")] == [
        f"data: {few.said}"
    ]


def test_a_warning_beside_a_failure_does_not_hide_it(good: Manifest) -> None:
    high = {"expectation": BETWEEN, "column": "yaw", "min_value": 50}
    settings = ValidationSettings(
        suites={"faces": [high | {"severity": "warn"}, high | {"max_value": 90}], "splits": []}
    )
    message = refusal(good, settings)
    assert "faces: expect_column_values_to_be_between(yaw, min_value=50.0, max_value=90.0)" in message
    assert "more)" not in message


def test_a_refusal_leaves_the_pages_about_it(good: Manifest, tmp_path: Path) -> None:
    asked = asking("faces", BETWEEN, column="yaw", min_value=50)
    with pytest.raises(FaceReconError, match=rf"\(Data Docs: {tmp_path}/docs/index.html\)$"):
        validate(good, asked, tmp_path / "docs")
    assert 'href="faces.html"' in (tmp_path / "docs/index.html").read_text()
    page = (tmp_path / "docs/faces.html").read_text()
    assert "greater than or equal to" in page
    assert "yaw" in page


def test_the_default_suite_knows_every_column() -> None:
    assert isinstance(DEFAULT.suites, dict)
    (entry,) = [entry for entry in DEFAULT.suites["faces"] if "column_set" in entry]
    assert entry["column_set"] == [*PHOTO_COLUMNS, *FACE_COLUMNS]
    typed = [entry for entry in DEFAULT.suites["faces"] if "type_" in entry]
    columns = [
        column
        for entry in typed
        for column in (entry["column"] if isinstance(entry["column"], list) else [entry["column"]])
    ]
    assert sorted(columns) == sorted([*PHOTO_COLUMNS, *FACE_COLUMNS])


def test_an_identity_in_two_splits(good: Manifest) -> None:
    message = refusal(broken(good, "split", "test", 5), default("identities"))
    assert (
        "identities: expect_column_values_to_be_between(splits, min_value=1.0, max_value=1.0) failed: 1 of 6" in message
    )
    assert "first rows: p2:" in message


def test_a_track_of_two_people_or_in_two_splits(good: Manifest) -> None:
    tracked = broken(broken(good, "track", "7", 0, 1, 2), "clip", "walk.mp4", 0, 1, 2)
    message = refusal(tracked, default("tracks"))
    assert "tracks: expect_column_values_to_be_between(" in message
    assert "first rows: 7 (and 1 more)" in message
    validate(broken(tracked, "track", "8", 2), default("tracks"))


def test_two_photos_with_the_same_bytes(good: Manifest) -> None:
    message = refusal(broken(good, "sha256", good.faces.loc[0, "sha256"], 3), default("photos"))
    assert "photos: expect_column_values_to_be_unique(sha256) failed: 2 of 12 values" in message
    assert "first rows: p0/0.png, p1/3.png" in message


def test_two_faces_of_one_photo_are_no_duplicates(good: Manifest) -> None:
    second = {**good.faces.loc[11], "face": f"{11:064x}-1", "phash": "0" * 16}
    faces = pd.concat([good.faces, pd.DataFrame([second])])
    validate(replace(good, faces=faces), default("photos"))


def test_two_faces_of_one_name(good: Manifest) -> None:
    message = refusal(broken(good, "face", good.faces.loc[0, "face"], 3), default("faces", "face"))
    assert "expect_column_values_to_be_unique(face) failed: 2 of 12 values" in message


@pytest.mark.parametrize("column", ["identity", "yaw"])
def test_a_value_that_is_missing(good: Manifest, column: str) -> None:
    message = refusal(broken(good, column, None, 3, 4), asking("faces", "ExpectColumnValuesToNotBeNull", column=column))
    assert f"expect_column_values_to_not_be_null({column}) failed: 2 of 12 values" in message
    assert "first rows: p1/3.png, p2/4.png" in message


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        ("split", "holiday", "expect_column_values_to_be_in_set(split, value_set=['train', 'val', 'gate', 'test'])"),
        ("phash", "ABC", "expect_column_values_to_match_regex(phash"),
        ("quad", 63.9, "expect_column_values_to_be_between(quad, min_value=64.0)"),
        ("padding", 1.5, "expect_column_values_to_be_between(padding, min_value=0.0, max_value=1.0)"),
    ],
)
def test_a_single_value_that_cannot_be(good: Manifest, column: str, value: object, expectation: str) -> None:
    settings = default("faces", column)
    if column == "phash":
        settings = settings.model_copy(update={"near_duplicates": NearDuplicateSettings(max_distance=0)})
        value = "0" * 17
    message = refusal(broken(good, column, value, 3), settings)
    assert expectation in message
    assert f"1 of 12 values such as {value}; first rows: p1/3.png" in message


@pytest.mark.parametrize(
    ("column", "value"), [("brightness", 250.0), ("brightness", 7.0), ("yaw", -95.0), ("eyes", 7.0)]
)
def test_most_values_lie_in_the_default_ranges(good: Manifest, column: str, value: float) -> None:
    message = refusal(broken(good, column, value, *range(3)), default("faces", column))
    assert f"expect_column_values_to_be_between({column}, mostly=0.95, " in message
    assert f"3 of 12 values such as {value}" in message
    assert "p0/0.png" in message


def test_a_few_values_may_lie_outside_the_ranges(good: Manifest) -> None:
    bounds = {"column": "yaw", "min_value": -90, "max_value": 90}
    validate(broken(good, "yaw", -100.0, 3, 4, 5), asking("faces", BETWEEN, **bounds, mostly=0.75))


def test_too_few_faces(good: Manifest) -> None:
    settings = asking("faces", "ExpectTableRowCountToBeBetween", min_value=8)
    message = refusal(replace(good, faces=good.faces.iloc[:7]), settings)
    assert "expect_table_row_count_to_be_between(min_value=8) failed: saw 7" in message
    assert "saw 0" in refusal(replace(good, faces=good.faces.iloc[:0]), settings)


def test_too_few_photos_in_which_a_face_is_found(good: Manifest) -> None:
    validate(refused(good, [Code.NO_FACE] * 3), default("totals"))  # 12 of 15
    codes = [Code.NO_FACE, Code.NO_FACE_AT_ANCHOR, Code.SEVERAL_FACES, Code.NO_FACE]
    message = refusal(refused(good, codes), default("totals"))
    assert "totals: expect_column_values_to_be_between(share_of_faces_found, min_value=0.8) failed" in message
    assert "such as 0.75;" in message


def test_other_reasons_do_not_count_as_not_found(good: Manifest) -> None:
    codes = [Code.DUPLICATE, Code.TOO_SMALL, Code.UNDECODABLE, Code.CHANGED]
    validate(refused(good, codes * 5), asking("totals", BETWEEN, column="share_of_faces_found", min_value=1))


def test_lighting_that_differs_between_splits(good: Manifest) -> None:
    """All faces of test are dark, and none else: a quarter of the people."""
    dark = good.faces.index[good.faces["split"] == "test"].tolist()
    manifest = broken(good, "brightness", 50.0, *dark)
    bound = {"column": "difference", "max_value": 0.15}
    message = refusal(manifest, asking("lighting", BETWEEN, **bound))
    assert "lighting: expect_column_values_to_be_between(difference, max_value=0.15) failed" in message
    assert "test" in message
    validate(manifest, asking("lighting", BETWEEN, **bound, row_condition="identities >= 25"))


@pytest.mark.parametrize("change", ["a column less", "a column more"])
def test_other_columns(good: Manifest, change: str) -> None:
    faces = {
        "a column less": good.faces.drop(columns="pitch"),
        "a column more": good.faces.assign(note="x"),
    }[change]
    columns = [*PHOTO_COLUMNS, *FACE_COLUMNS]
    settings = asking("faces", "ExpectTableColumnsToMatchSet", column_set=columns, exact_match=True)
    assert refusal(replace(good, faces=faces), settings).startswith(
        "validation: faces: expect_table_columns_to_match_set("
    )


def test_a_check_that_cannot_be_made_says_why(good: Manifest) -> None:
    message = refusal(replace(good, faces=good.faces.assign(yaw="left")), default("faces", "yaw"))
    assert "expect_column_values_to_be_between(yaw" in message
    assert "must either be None or of the same type" in message


def test_a_column_of_another_type(good: Manifest) -> None:
    faces = good.faces.assign(frame=good.faces["frame"].astype(float))
    message = refusal(replace(good, faces=faces), default("faces", "frame"))
    assert "expect_column_values_to_be_of_type(frame, type_=int64) failed: saw float64" in message


def test_several_failures_are_counted(good: Manifest) -> None:
    message = refusal(broken(broken(good, "quad", 1.0, 3), "padding", 2.0, 4), default("faces", "quad", "padding"))
    assert "(and 1 more)" in message


def test_any_name(good: Manifest) -> None:
    names = {"p0": "line\nbreak", "p1": "安倍", "p2": "a,b;c\"d'{}%s$x", "p3": "NA", "p4": "<script>alert(1)</script>"}
    faces = good.faces.assign(identity=good.faces["identity"].replace(names))
    faces["uri"] = faces["identity"] + "/" + faces["face"] + ".png"
    asked = asking("faces", BETWEEN, column="yaw", max_value=0, severity="warn")
    assert isinstance(asked.suites, dict)
    asked.suites["faces"].append(
        {"expectation": "ExpectColumnValuesToBeInSet", "column": "identity", "value_set": ["x"], "severity": "warn"}
    )
    docs = validate(replace(good, faces=faces), asked).docs
    assert "<script" not in docs.pages["faces.html"]
    assert all("\n" not in warning.said for warning in docs.warnings)


def test_the_order_of_rows_and_their_index_do_not_matter(good: Manifest) -> None:
    faces = broken(good, "quad", 1.0, 3).faces.sample(frac=1, random_state=0)
    faces.index = [7] * len(faces)
    assert "first rows: p1/3.png" in refusal(replace(good, faces=faces), default("faces", "quad"))


def test_nothing_is_left_behind_or_printed(
    good: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = good.digest
    validate(good, default("photos"))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert replace(good).digest == before


def test_suites_must_have_been_read(good: Manifest) -> None:
    with pytest.raises(FaceReconError, match="was not read: call resolve_suites first"):
        validate(good, ValidationSettings())


def test_what_is_wrong_with_faces_and_with_splits_is_told_at_once(good: Manifest, tmp_path: Path) -> None:
    nobody = replace(good, faces=good.faces[good.faces["split"].isin(["train", "test"])].reset_index(drop=True))
    blind = refused(nobody, [Code.NO_FACE] * 21)
    found = default("totals")
    with pytest.raises(FaceReconError) as caught:
        validate(blind, found, tmp_path / "docs", SplitShares())
    message = caught.value.message
    assert message.startswith("validation: totals: expect_column_values_to_be_between(share_of_faces_found, ")
    assert "suites asks of it (Data Docs: " in message
    assert "); and nobody is in val and gate, and each split needs somebody: of " in message
    assert message.endswith("assign some by name: data.splits.people: {val: [NAME], gate: [NAME]}")
    with pytest.raises(FaceReconError, match=r"^nobody is in val and gate, and "):
        validate(nobody, found, None, SplitShares())
    validate(good, found, None, SplitShares())


def test_the_suite_for_footage_bears_that_half_of_the_faces_cannot_be_cut_out(good: Manifest) -> None:
    footage = resolve_suites(ValidationSettings(suites="configs/expectations/footage.yaml"), PROJECT)
    about = {"clip": "a.mp4", "track": good.faces["identity"], "frame": range(12), "time": 0.2}
    tracked = replace(good, faces=good.faces.assign(**about))
    (warning,) = [
        each
        for each in validate(refused(tracked, [Code.NO_FACE] * 12), footage).docs.warnings
        if each.table == "totals"
    ]
    assert "such as 0.5" in warning.said
    with pytest.raises(FaceReconError, match=r"share_of_faces_found, min_value=0\.2"):
        validate(refused(tracked, [Code.NO_FACE] * 60), footage)
