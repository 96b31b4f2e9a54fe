"""Data Docs: whole, the same for the same data, and nothing in them is fetched or run."""

import re
from dataclasses import replace
from pathlib import Path

from facerecon.data.manifest import Manifest
from facerecon.data.validation.check import validate
from facerecon.data.validation.outcomes import DataDocs
from facerecon.data.validation.settings import ValidationSettings
from facerecon.data.validation.suites import resolve_suites

PROJECT = Path(__file__).parents[4]


def docs_of(manifest: Manifest, *names: str) -> DataDocs:
    """Of the suites of the small run; only of the tables ``names``, if given."""
    settings = resolve_suites(ValidationSettings(suites="configs/expectations/ci.yaml"), PROJECT)
    assert isinstance(settings.suites, dict)
    chosen = {name: suite for name, suite in settings.suites.items() if not names or name in names}
    return validate(manifest, ValidationSettings(suites=chosen)).docs


def test_there_is_a_page_for_each_table_and_nothing_leads_out(good: Manifest) -> None:
    docs = docs_of(good)
    names = ["faces", "photos", "identities", "tracks", "splits", "lighting", "near_duplicates", "totals"]
    assert set(docs.pages) == {"index.html", *(f"{name}{end}.html" for name in names for end in ("", "-suite"))}
    assert set(re.findall('href="([^"]*)"', docs.pages["index.html"])) == set(docs.pages) - {"index.html"}
    assert "brightness" in docs.pages["faces.html"]
    assert "brightness" in docs.pages["faces-suite.html"]
    for page in docs.pages.values():
        assert {link for link in re.findall('href="([^"#]*)"', page) if link} <= set(docs.pages)
        for outside in ("https:", "http:", "//", "<script", "<link", "<img", "<iframe", "javascript", "url("):
            assert outside not in page, outside
        assert "default-src 'none'" in page
        assert "/tmp" not in page


def test_the_same_data_gives_the_same_pages_and_they_say_what_was_not_met(good: Manifest) -> None:
    """Three people in one split or two in another are fewer than six: a warning."""
    docs = docs_of(good, "splits")
    assert docs == docs_of(good, "splits")
    (few,) = docs.warnings
    assert few.rows == ["train", "val", "gate", "test"]
    assert "Failed" in docs.pages["splits.html"]


def test_a_check_that_went_wrong_tells_no_path_of_this_machine(good: Manifest) -> None:
    wrong = {"expectation": "ExpectColumnValuesToBeBetween", "column": "yaw", "max_value": 3, "severity": "warn"}
    settings = ValidationSettings(suites={"faces": [wrong]})
    docs = validate(replace(good, faces=good.faces.assign(yaw="left")), settings).docs
    (said,) = docs.warnings
    assert not said.checked
    assert "raised an exception" in docs.pages["faces.html"]
    assert "Traceback" not in docs.pages["faces.html"]
    assert "site-packages" not in docs.pages["faces.html"]
