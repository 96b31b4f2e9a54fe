"""Suites: expectations of the tables, as a user writes them into a YAML file.

A file maps tables to lists of entries. An entry names an ``expectation`` (a class of Great Expectations), its
arguments, and a ``severity``: ``fail`` (the default) stops the pipeline, ``warn`` is shown and recorded. A list under
``column`` stands for as many entries. ``{$PARAMETER: size}`` is the side of the aligned faces in pixels.
"""

from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facerecon.data.validation.settings import Suites, ValidationSettings
from facerecon.data.validation.tables import TABLES
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, sha256_file, write_text
from facerecon.yaml_files import read_yaml

SEVERITIES = {"fail": "critical", "warn": "warning"}
"""And Great Expectations' own words for them."""

PARAMETERS = ("size",)


@cache
def expectation_classes() -> dict[str, Any]:
    """Great Expectations' classes by name, those that a suite may name."""
    # imported when it is used: it takes seconds
    from great_expectations import expectations as gxe

    # these look into databases, or at other tables of one
    others = ("Expectation", "ExpectQueryResultsToMatchComparison", "ExpectTableRowCountToEqualOtherTable")
    return {name: getattr(gxe, name) for name in dir(gxe) if name.startswith("Expect") and name not in others}


_OF_ITS_OWN = {
    *("id", "meta", "result_format", "catch_exceptions", "rendered_content", "severity", "windows", "batch_id"),
    "condition_parser",
}
"""Arguments of every expectation that are no part of what is expected."""


def resolve_suites(validation: ValidationSettings, project: Path, checked: Path | None = None) -> ValidationSettings:
    """The settings with what stands in the file of suites in the place of its name; checked.

    The folder ``checked`` remembers what was found usable, so that the next run need not load Great Expectations.

    Raises:
        FaceReconError: the file cannot be read, or an entry cannot be used; the line names both, and what is allowed.
    """
    chosen = validation.suites
    if isinstance(chosen, dict):
        _check(chosen, "validation.suites", checked)
        return validation
    try:
        content = read_yaml(project / Path(chosen).expanduser(), chosen, str(ValidationSettings().suites))
    except FaceReconError as error:
        raise FaceReconError(f"validation.suites: {error.message}") from error
    _check(content, chosen, checked)
    return validation.model_copy(update={"suites": content})


def _check(suites: Suites, where: str, checked: Path | None) -> None:
    made = {"suites": suites, "code": sha256_file(Path(__file__)), "version": version("great-expectations")}
    seen = checked / digest_of(made) if checked else None
    if seen and seen.is_file():
        return
    expectations_of(suites, where)
    if seen:
        write_text(seen, "")


def expectations_of(suites: Suites, where: str) -> dict[str, list[Any]]:
    """Great Expectations' own objects by table.

    Raises:
        FaceReconError: one line naming ``where``, the entry, what is wrong with it and what is allowed.
    """
    if not isinstance(suites, dict) or not suites:
        raise FaceReconError(f"{where}: holds no suites: give tables ({', '.join(TABLES)}) with lists of expectations")
    made: dict[str, list[Any]] = {}
    for table, entries in suites.items():
        if table not in TABLES:
            raise FaceReconError(f"{where}: {table}: no such table; allowed: {', '.join(TABLES)}")
        if not isinstance(entries, list):
            raise FaceReconError(f"{where}: {table} = {entries!r}: must be a list of expectations")
        made[table] = []
        for number, entry in enumerate(entries, start=1):
            try:
                made[table] += _expectations(table, entry)
            except _WrongEntryError as error:
                raise FaceReconError(f"{where}: {table}, entry {number}: {error}") from error
    return made


class _WrongEntryError(Exception):
    """An entry cannot be used, for the reason that is given."""


def _expectations(table: str, entry: Any) -> list[Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("expectation"), str):
        raise _WrongEntryError(f"{entry!r}: must be a mapping that names an `expectation`")
    name, severity = entry["expectation"], entry.get("severity", "fail")
    known = expectation_classes()
    if name not in known:
        near = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(known)}"
        raise _WrongEntryError(f"expectation {name}: Great Expectations has none of this name; {hint}")
    if severity not in SEVERITIES:
        raise _WrongEntryError(f"{name}: severity {severity!r} not among {', '.join(SEVERITIES)}")
    kind = known[name]
    arguments = {key: value for key, value in entry.items() if key not in ("expectation", "severity")}
    allowed = [field for field in kind.__fields__ if field not in _OF_ITS_OWN]
    for key in arguments:
        if key not in allowed:
            raise _WrongEntryError(f"{name}: no argument {key!r}; it takes {', '.join(allowed)}, severity")
    _check_columns(table, name, arguments)
    _check_parameters(name, arguments)
    if arguments.get("row_condition") is not None:
        arguments["condition_parser"] = "pandas"
    columns = arguments.get("column")
    each = [{"column": column} for column in columns] if isinstance(columns, list) else [{}]
    return [_build(kind, arguments | one | {"severity": SEVERITIES[severity]}) for one in each]


def _check_columns(table: str, name: str, arguments: dict[str, Any]) -> None:
    """Each column that an entry names must be the table's; which ones it has in all is for an expectation to say."""
    named: list[Any] = []
    for key in ("column", "column_A", "column_B", "column_list"):
        value = arguments.get(key)
        if name != "ExpectTableColumnsToMatchOrderedList" and value is not None:
            named += value if isinstance(value, list) else [value]
    for column in named:
        if column not in TABLES[table]:
            raise _WrongEntryError(f"{name}: {table} has no column {column!r}; it has {', '.join(TABLES[table])}")


def _check_parameters(name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$PARAMETER" and inner not in PARAMETERS:
                raise _WrongEntryError(f"{name}: no parameter {inner!r}; there is {', '.join(PARAMETERS)}")
            _check_parameters(name, inner)


def _build(kind: Any, arguments: dict[str, Any]) -> Any:
    from great_expectations.compatibility.pydantic import ValidationError

    try:
        return kind(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part != "__root__")
        value = f"{key} = {arguments[key]!r}: " if key in arguments else f"{key}: " if key else ""
        raise _WrongEntryError(f"{kind.__name__}: {value}{first['msg']}") from error
    except (TypeError, ValueError) as error:
        raise _WrongEntryError(f"{kind.__name__}: {error}") from error
