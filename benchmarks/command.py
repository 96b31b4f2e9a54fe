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
    """Write JSON with eight significant digits a number, and one line for each member of a list."""
    write_text(path, _json(result, "") + "\n")


def _json(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if _of_records(value):
        return "[\n" + ",\n".join(deeper + json.dumps(_rounded(each)) for each in value) + f"\n{indent}]"
    if isinstance(value, dict) and any(isinstance(each, dict) or _of_records(each) for each in value.values()):
        lines = [f"{deeper}{json.dumps(key)}: {_json(each, deeper)}" for key, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return json.dumps(_rounded(value))


def _of_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
