"""What made a stored thing, beside its settings: code and packages, for the name that it is kept by.

So what other code or another version of a package has made is not found any more, and is made anew.
"""

import ast
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2

from facerecon.files import sha256_file

PACKAGE = "facerecon"


def made_by(code: Iterable[Path], packages: Iterable[str]) -> dict[str, Any]:
    """The digests of the files of ``code``, and the versions of OpenCV, which is installed under several names, and of
    ``packages`` as they are called where they are installed."""
    return {
        "code": [sha256_file(path) for path in code],
        "packages": {"opencv": cv2.__version__, **{package: version(package) for package in packages}},
    }


def sources_of(*modules: ModuleType) -> list[Path]:
    """The files of ``modules`` and of all that they import of this project."""
    names = set[str]()
    waiting = [module.__name__ for module in modules]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _imports(name)
    return [_file(name) for name in sorted(names)]


@cache
def _file(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    return Path(spec.origin)


@cache
def _imports(name: str) -> list[str]:
    """The modules of this project that a module imports by name, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(_file(name).read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # what is imported may be a module of a package, or a name in a module
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [node.module, *(each for each in inner if node.module.startswith(PACKAGE) and _is_module(each))]
    return [each for each in found if each.split(".")[0] == PACKAGE]


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False
