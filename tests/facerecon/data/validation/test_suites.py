"""Suites: what stands in the file is what is asked; a mistake is one line: file, entry and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from facerecon.data.validation import suites
from facerecon.data.validation.settings import ValidationSettings
from facerecon.data.validation.suites import expectation_classes, expectations_of, resolve_suites
from facerecon.data.validation.tables import TABLES
from facerecon.errors import FaceReconError

PROJECT = Path(__file__).parents[4]
FILES = sorted((PROJECT / "configs" / "expectations").glob("*.yaml"))
YAW = {"expectation": "ExpectColumnValuesToBeBetween", "column": "yaw", "min_value": -90}


def refusal(content: Any, folder: Path) -> str:
    (folder / "mine.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(FaceReconError) as caught:
        resolve_suites(ValidationSettings(suites="mine.yaml"), folder)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_can_be_used_and_asks_something_of_every_table(path: Path) -> None:
    settings = resolve_suites(ValidationSettings(suites=str(path.relative_to(PROJECT))), PROJECT)
    assert settings.suites == yaml.safe_load(path.read_text())
    assert set(settings.suites) == set(TABLES)


def test_resolved_settings_survive_the_way_through_json_and_are_not_read_again(tmp_path: Path) -> None:
    settings = resolve_suites(ValidationSettings(), PROJECT)
    again = ValidationSettings.model_validate_json(settings.model_dump_json())
    assert again == settings
    assert resolve_suites(again, tmp_path) == settings


def test_columns_in_a_list_are_an_expectation_each() -> None:
    made = expectations_of({"faces": [YAW | {"column": ["yaw", "pitch"], "severity": "warn"}, YAW]}, "here")
    assert [(one.column, one.severity.value) for one in made["faces"]] == [
        ("yaw", "warning"),
        ("pitch", "warning"),
        ("yaw", "critical"),
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (3, "faces, entry 2: 3: must be a mapping that names an `expectation`"),
        ({"column": "yaw"}, "must be a mapping that names an `expectation`"),
        (YAW | {"expectation": "ExpectColumnValuesToBeBetwen"}, "did you mean ExpectColumnValuesToBeBetween or "),
        (YAW | {"expectation": "zzz"}, f"allowed: {', '.join(expectation_classes())}"),
        (YAW | {"severity": "critical"}, "severity 'critical' not among fail, warn"),
        (YAW | {"column": "jaw"}, f"faces has no column 'jaw'; it has {', '.join(TABLES['faces'])}"),
        (YAW | {"column": ["yaw", "jaw"]}, "faces has no column 'jaw'"),
        (YAW | {"min": 3}, "no argument 'min'; it takes notes, description, column, mostly, row_condition, min_value"),
        (YAW | {"result_format": "BASIC"}, "no argument 'result_format'"),
        (YAW | {"min_value": "low"}, "min_value = 'low': value is not a valid float"),
        (YAW | {"mostly": 1.5}, "mostly = 1.5: ensure this value is less than or equal to 1.0"),
        (YAW | {"min_value": {"$PARAMETER": "width"}}, "no parameter 'width'; there is size"),
        ({"expectation": "ExpectColumnValuesToBeUnique"}, "column: field required"),
        ({"expectation": "ExpectColumnValuesToBeBetween", "column": "yaw"}, "cannot both be None"),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_allowed(entry: Any, said: str, tmp_path: Path) -> None:
    message = refusal({"faces": [YAW, entry]}, tmp_path)
    assert message.startswith("mine.yaml: faces, entry 2: ")
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "mine.yaml: holds no suites: give tables (faces, photos, "),
        ("[1, 2]", "mine.yaml: holds no suites"),
        ("faces: [", "mine.yaml: not valid YAML"),
        ({"people": []}, "mine.yaml: people: no such table; allowed: faces, photos, "),
        ({"faces": {"yaw": 3}}, "mine.yaml: faces = {'yaw': 3}: must be a list of expectations"),
    ],
)
def test_a_file_that_holds_no_suites(content: Any, said: str, tmp_path: Path) -> None:
    assert refusal(content, tmp_path).removeprefix("validation.suites: ").startswith(said)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        FaceReconError, match=r"validation.suites: none.yaml: cannot be read .*: give a YAML file such as"
    ):
        resolve_suites(ValidationSettings(suites="none.yaml"), tmp_path)


def test_what_was_checked_is_not_checked_again_and_what_is_wrong_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good: Any = {"faces": [{"expectation": "ExpectColumnValuesToNotBeNull", "column": "yaw"}]}
    settings = ValidationSettings(suites=good)
    assert resolve_suites(settings, PROJECT, tmp_path / "seen") == settings
    wrong: Any = {"faces": [{"expectation": "ExpectNothing"}]}
    for _ in range(2):
        with pytest.raises(FaceReconError, match="ExpectNothing"):
            resolve_suites(ValidationSettings(suites=wrong), PROJECT, tmp_path / "seen")
    asked = []
    monkeypatch.setattr(suites, "expectations_of", lambda content, where: asked.append(content))
    assert resolve_suites(settings, PROJECT, tmp_path / "seen") == settings
    assert not asked
    monkeypatch.setattr(suites, "version", lambda package: "another")
    resolve_suites(settings, PROJECT, tmp_path / "seen")
    assert asked == [good]
