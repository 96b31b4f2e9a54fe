"""Great Expectations on the manifest: what the data must fulfil before anything is trained on it."""

import tempfile
import warnings
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.data_context.types.base import ProgressBarsConfig

from facerecon.config.validation import ValidationSettings
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest
from facerecon.errors import FaceReconError

_NOT_FOUND = r"no face found|\d+ faces found"


@dataclass(frozen=True)
class Outcome:
    """One expectation: its name, whether it was met, what was seen, rows that break it, whether it could be checked."""

    expectation: str
    success: bool
    observed: str
    rows: list[str]
    checked: bool = True


def expectations(manifest: Manifest, settings: ValidationSettings) -> dict[str, list[Any]]:
    """The suites by table: ``faces`` has a row per face, ``identities`` one per identity, ``totals`` one row."""
    hexadecimal = r"^[0-9a-f]{64}$"
    low, high = settings.brightness
    mostly = settings.mostly
    return {
        "faces": [
            gxe.ExpectTableColumnsToMatchSet(column_set=[*PHOTO_COLUMNS, *FACE_COLUMNS], exact_match=True),
            gxe.ExpectTableRowCountToBeBetween(min_value=settings.min_faces),
            *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in (*PHOTO_COLUMNS, *FACE_COLUMNS)),
            gxe.ExpectColumnValuesToBeUnique(column="face"),
            gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex=hexadecimal),
            gxe.ExpectColumnValuesToMatchRegex(column="crop_sha256", regex=hexadecimal),
            gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(SPLITS)),
            gxe.ExpectColumnValuesToBeBetween(column="quad", min_value=manifest.size),
            gxe.ExpectColumnValuesToBeBetween(column="padding", min_value=0, max_value=1),
            gxe.ExpectColumnValuesToBeBetween(column="brightness", min_value=low, max_value=high, mostly=mostly),
            gxe.ExpectColumnValuesToBeBetween(column="sharpness", min_value=settings.min_sharpness, mostly=mostly),
            gxe.ExpectColumnValuesToBeBetween(
                column="yaw", min_value=-settings.max_yaw, max_value=settings.max_yaw, mostly=mostly
            ),
        ],
        "photos": [gxe.ExpectColumnValuesToBeUnique(column="sha256")],
        "identities": [gxe.ExpectColumnValuesToBeBetween(column="splits", min_value=1, max_value=1)],
        "totals": [
            gxe.ExpectColumnValuesToBeBetween(column="share_of_faces_found", min_value=settings.min_found_share)
        ],
    }


def tables(manifest: Manifest) -> dict[str, pd.DataFrame]:
    """The tables that the suites look at."""
    faces = manifest.faces.reset_index(drop=True)
    photos = faces.drop_duplicates(["uri"])
    splits = faces.groupby("identity")["split"].nunique().rename("splits").reset_index()
    missing = manifest.quarantine["reason"].str.fullmatch(_NOT_FOUND).sum()
    found = len(photos) / max(1, len(photos) + int(missing))
    totals = pd.DataFrame({"share_of_faces_found": [found]})
    return {"faces": faces, "photos": photos[["uri", "sha256"]], "identities": splits, "totals": totals}


def validate(manifest: Manifest, settings: ValidationSettings) -> list[Outcome]:
    """Check an aligned manifest.

    Raises:
        FaceReconError: an expectation is not met; the line names it, what was seen, and the first rows.
    """
    data = tables(manifest)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="file", project_root_dir=folder)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("manifest")
        for name, suite in expectations(manifest, settings).items():
            outcomes += _check(context, source, name, data[name], suite)
    if failed := [outcome for outcome in outcomes if not outcome.success]:
        first = min(failed, key=lambda outcome: not outcome.checked)  # a missing column spoils others' check
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        rows = f"; first rows: {', '.join(first.rows[:3])}" if first.rows else ""
        raise FaceReconError(
            f"validation: {first.expectation} failed{more}: {first.observed}{rows}: "
            "mend the data, or change the bounds under parameters.validation"
        )
    return outcomes


def _check(context: Any, source: Any, name: str, table: pd.DataFrame, suite: list[Any]) -> list[Outcome]:
    key = "uri" if "uri" in table.columns else str(table.columns[0])
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(
        name=name, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=suite))
    )
    context.validation_definitions.add(definition)
    result = definition.run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [key]},
    )
    return [_outcome(single, key) for single in result.results]


def _outcome(result: Any, key: str) -> Outcome:
    config = result.expectation_config
    column = config.kwargs.get("column")
    bounds = {k: v for k, v in config.kwargs.items() if k not in ("column", "batch_id") and v is not None}
    detail: dict[str, Any] = result.result or {}
    rows = [str(row.get(key)) for row in (detail.get("unexpected_index_list") or [])[:20]]
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
    return Outcome(name, bool(result.success), observed, rows, checked=not errors)


def _exceptions(info: dict[str, Any]) -> list[str]:
    """Messages of what was raised during a check; Great Expectations gives one ``info``, or one for each metric."""
    several = [info] if "raised_exception" in info else info.values()
    return [str(single["exception_message"]) for single in several if single.get("raised_exception")]
