"""What Great Expectations asks of the data."""

from typing import Any

from pydantic import Field, field_validator

from facerecon.settings import Settings, Share

Suites = dict[str, list[dict[str, Any]]]


class NearDuplicateSettings(Settings):
    """When two photographs are copies of one another. Of two in different splits the later one is quarantined."""

    max_distance: int = Field(10, ge=0, le=32, description="bits of 64 by which the hashes of a proposed pair differ")
    min_correlation: Share = Field(0.92, description="of the two crops' contours, from which on a pair is confirmed")
    min_mirrored_correlation: Share = Field(
        0.95, description="the same where one crop is mirrored: faces are near to symmetric, so strangers come closer"
    )
    quarantine: bool = Field(True, description="false only lists the pairs: what then follows is up to the suites")


class ValidationSettings(Settings):
    """What the data must fulfil before anything is trained on it.

    ``suites`` is a file of expectations, relative to the project's root, or what stands in such a file; a run replaces
    the one by the other, so that what it was made of does not change with the file.
    """

    suites: str | Suites = "configs/expectations/default.yaml"
    near_duplicates: NearDuplicateSettings = Field(default_factory=NearDuplicateSettings)

    @field_validator("suites", mode="before")
    @classmethod
    def _file_or_content(cls, suites: Any) -> Any:
        if not isinstance(suites, str | dict) or not suites:
            raise ValueError("give a file of expectations, such as configs/expectations/default.yaml")
        return suites
