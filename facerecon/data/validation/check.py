"""Checking a manifest against suites."""

import logging
import tempfile
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig

from facerecon.data.duplicates import guard_splits
from facerecon.data.manifest import Manifest
from facerecon.data.settings import SplitShares
from facerecon.data.splits import splits_without_people
from facerecon.data.validation.docs import read_pages
from facerecon.data.validation.outcomes import DataDocs, Outcome
from facerecon.data.validation.settings import ValidationSettings
from facerecon.data.validation.suites import SEVERITIES, expectations_of
from facerecon.data.validation.tables import tables
from facerecon.errors import FaceReconError
from facerecon.files import write_text

LOG = logging.getLogger(__name__)

_SHOWN = 20
"""Rows and values that are told of each expectation."""

_RUN = RunIdentifier(run_name="facerecon", run_time=datetime(2000, 1, 1, tzinfo=UTC))
"""Great Expectations puts name and time into its pages: with these, equal data have equal pages."""


@dataclass(frozen=True)
class Validation:
    """The ``manifest`` without near-duplicates, and what came of the checks."""

    manifest: Manifest
    docs: DataDocs


def validate(
    manifest: Manifest, settings: ValidationSettings, refused: Path | None = None, shares: SplitShares | None = None
) -> Validation:
    """Take near-duplicates out of an aligned manifest and check the rest against the suites, which are resolved
    (``resolve_suites``). What is not met with severity ``warn`` is logged.

    Raises:
        FaceReconError: an expectation of severity ``fail`` is not met; the line names it, what was seen, the first
            rows, and where the pages about all of it are: in the folder ``refused``, if given. Or, with ``shares``, a
            split has nobody: both are told in one line. Or the suites were not resolved, or cannot be used.
    """
    if isinstance(settings.suites, str):
        raise FaceReconError(f"validation.suites: {settings.suites} was not read: call resolve_suites first")
    suites = expectations_of(settings.suites, "validation.suites")
    guarded = guard_splits(manifest, settings.near_duplicates)
    data = tables(guarded)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="file", project_root_dir=folder)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("manifest")
        for name, suite in suites.items():
            outcomes += _check(context, source, name, data[name], suite, {"size": manifest.size})
        context.build_data_docs()
        docs = DataDocs(outcomes, read_pages(Path(folder), list(suites), guarded.manifest.account))
    lacking = "" if shares is None else splits_without_people(guarded.manifest.faces, shares)
    if reasons := [reason for reason in (_broken(docs, refused), lacking) if reason]:
        raise FaceReconError("; and ".join(reasons))
    for warning in docs.warnings:
        LOG.warning("data: %s", warning.said)
    return Validation(guarded.manifest, docs)


def _broken(docs: DataDocs, folder: Path | None) -> str:
    """What stops the run, "" if nothing does; its pages are put into ``folder``."""
    failed = [outcome for outcome in docs.outcomes if not outcome.success and outcome.severity == "fail"]
    if not failed:
        return ""
    pages = {} if folder is None else {folder / name: page for name, page in docs.pages.items()}
    for path, page in pages.items():
        write_text(path, page)
    first = min(failed, key=lambda outcome: not outcome.checked)  # a missing column spoils others' check
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    shown = f" (Data Docs: {folder / 'index.html'})" if folder else ""
    return (
        f"validation: {first.said}{more}: mend the data, or change what parameters.validation.suites asks of it{shown}"
    )


def _check(
    context: Any, source: Any, name: str, table: pd.DataFrame, suite: list[Any], parameters: dict[str, Any]
) -> list[Outcome]:
    key = "uri" if "uri" in table.columns else str(table.columns[0])
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(
        name=name, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=suite))
    )
    context.validation_definitions.add(definition)
    result = definition.run(
        batch_parameters={"dataframe": table},
        expectation_parameters=parameters,
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": [key],
            "partial_unexpected_count": _SHOWN,
        },
        run_id=_RUN,
    )
    return [_outcome(name, single, key) for single in result.results]


def _outcome(table: str, result: Any, key: str) -> Outcome:
    config = result.expectation_config
    column = config.kwargs.get("column")
    bounds = {
        k: v["pass_through_filter"] if k == "row_condition" and isinstance(v, dict) else v
        for k, v in config.kwargs.items()
        if k not in ("column", "batch_id", "condition_parser") and v is not None
    }
    detail: dict[str, Any] = result.result or {}
    rows = [str(row.get(key)) for row in (detail.get("partial_unexpected_index_list") or [])]
    unexpected = [str(value) for value in (detail.get("partial_unexpected_list") or [])[:3]]
    observed = (
        f"saw {detail['observed_value']}"
        if "observed_value" in detail
        else f"{detail.get('unexpected_count', 0)} of {detail.get('element_count', 0)} values"
        + (f" such as {', '.join(unexpected)}" if unexpected else "")
    )
    if errors := _exceptions(result.exception_info or {}):
        observed = errors[0]
    shown = ", ".join(f"{k}={v}" for k, v in bounds.items())
    name = f"{config.type}({', '.join(filter(None, (column, shown)))})"
    severity = next(ours for ours, theirs in SEVERITIES.items() if theirs == config.severity)
    return Outcome(table, name, bool(result.success), observed, rows, severity, checked=not errors)  # type: ignore[arg-type]


def _exceptions(info: dict[str, Any]) -> list[str]:
    """Messages of what was raised during a check; Great Expectations gives one ``info``, or one for each metric."""
    several = [info] if "raised_exception" in info else info.values()
    return [str(single["exception_message"]) for single in several if single.get("raised_exception")]
