"""Benchmarks as commands, and the files they write."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facerecon.errors import FaceReconError
from facerecon.files import write_text


def as_command(main: Callable[[], None]) -> None:
    """Call ``main``; a FaceReconError is printed in one line and ends the process with its exit status."""
    try:
        main()
    except FaceReconError as error:
        error.show()
        sys.exit(error.exit_code)


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write JSON with six significant digits a number and each member of a list on one line."""
    write_text(path, _json(result, "") + "\n")


def _json(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and any(isinstance(each, dict | list) for each in value.values()):
        lines = [f"{deeper}{json.dumps(key)}: {_json(each, deeper)}" for key, each in sorted(value.items())]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "[\n" + ",\n".join(deeper + _line(each) for each in value) + f"\n{indent}]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(_rounded(value), sort_keys=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
