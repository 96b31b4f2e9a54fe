"""What may stand under ``data:``: one source or a list of sources, told apart by name."""

from typing import Any

import pytest
from pydantic import Field, ValidationError

from facerecon.data.settings import DataSettings, Sources, licence_text, licences_of, sources_of
from facerecon.errors import FaceReconError
from facerecon.settings import Settings, first_problem


class Run(Settings):
    data: Sources = Field((DataSettings(),))


ONE = {"path": "photos", "licence": "CC0"}
TWO = [ONE, {"name": "door", "source": "footage", "path": "clips", "licence": "own"}]


@pytest.mark.parametrize("data", [ONE, [ONE], DataSettings(**ONE), (DataSettings(**ONE),)])
def test_one_source_is_a_mapping_or_a_list_of_one(data: Any) -> None:
    settings = Run(data=data)
    assert settings.data == (DataSettings(**ONE),) == sources_of(data)
    written = settings.model_dump(mode="json", exclude_defaults=True)
    assert written == {"data": ONE}
    assert Run.model_validate(settings.model_dump(mode="json")) == settings


def test_several_sources_are_a_list() -> None:
    settings = Run.model_validate({"data": TWO})
    assert [source.label for source in settings.data] == ["folder", "door"]
    assert Run.model_validate(settings.model_dump(mode="json")) == settings
    assert licences_of(settings.data) == {"folder": "CC0", "door": "own"}
    assert licence_text(licences_of(settings.data)) == "folder: CC0; door: own"
    assert licence_text(licences_of(settings.data[:1])) == "CC0"


OTHER = {"name": "other", "splits": {"train": 0.4, "val": 0.2, "gate": 0.2, "test": 0.2}}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"pth": "x"}, "run.data.pth: no such key; allowed here: name, source, path"),
        ([ONE, {"name": "b", "pth": "x"}], "run.data.1.pth: no such key; allowed here: name, source, path"),
        ({"max_faces": 0}, "run.data.max_faces = 0: Input should be greater than or equal to 1"),
        ([ONE, ONE], "run.data: 2 sources are called 'folder': give each a `name` of its own"),
        ([ONE, OTHER], "run.data: the sources have different `splits`, so one person could be in two: give all the sa"),
        ([], "run.data = []: give a source, or a list of sources"),
        ("photos", "run.data = 'photos': give a source, or a list of sources"),
        ([ONE, {"name": "A b"}], "run.data.1.name = 'A b': String should match"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(data: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Run.model_validate({"data": data})
    assert first_problem(caught.value, "run", Run).startswith(problem)
    with pytest.raises(FaceReconError, match=r"^data"):
        sources_of(data)
