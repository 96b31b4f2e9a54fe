"""What must hold before anything else is imported: packages, and the code that the kit was built from.

Imports the standard library only.
"""

import atexit
import hashlib
import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]

PACKAGES = PROJECT / "benchmarks" / "gpu_packages.txt"
"""What may be imported on the machine with the GPU: a module and the requirement that brings it, a line each."""

CARRIED = {
    "annotated_types": "annotated-types",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic-core",
    "typing_inspection": "typing-inspection",
}
"""Modules whose wheels the kit brings, and their distributions."""

PARTS = ("correctness", "throughput", "quality")
"""The parts of a run, in their order."""

_CODE = ("benchmarks", "facerecon")
_SUFFIXES = {".py", ".html", ".j2", ".txt"}


class KitError(Exception):
    """What the user must do before anything can be measured, in one line."""


def packages(needed: bool = False) -> dict[str, str]:
    """The modules that may be imported, or only those that are ``needed``, and their requirements."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {module: requirement for module, requirement, *indirect in rows if not (needed and indirect)}


def tree_digest(root: Path = PROJECT) -> str:
    """SHA-256 over the names and bytes of the files that run here: equal digests, equal code."""
    whole = hashlib.sha256()
    for folder in _CODE:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in _SUFFIXES and file.is_file():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                whole.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def read_about(kit: Path, any_code: bool = False) -> dict[str, Any]:
    """What the kit says of itself.

    Raises:
        KitError: it is no kit, not whole, or was built from other code than this, unless ``any_code`` will do.
    """
    try:
        about: dict[str, Any] = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
        files: dict[str, str] = about["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KitError(f"{kit} is no kit ({type(error).__name__}: {error}): build one with `make gpu-kit`") from None
    for name, sha256 in files.items():
        file = kit / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise KitError(f"the kit's file {file} is missing or damaged: build the kit again with `make gpu-kit`")
    if not any_code and (found := tree_digest()) != about["tree"]:
        raise KitError(
            f"the kit was built from commit {about['commit']} (code {about['tree'][:12]}), this tree is another "
            f"({found[:12]}): take the kit's commit, or build the kit again with `make gpu-kit`"
        )
    return about


def missing() -> list[str]:
    """The modules that are needed and cannot be found."""
    return [name for name in (*packages(needed=True), *CARRIED) if importlib.util.find_spec(name) is None]


def provide(kit: Path) -> None:
    """Unpack the kit's wheels onto the import path if modules are missing.

    Raises:
        KitError: something is missing all the same.
    """
    if missing():
        folder = Path(tempfile.mkdtemp(prefix="facerecon-gpu-"))
        for wheel in sorted((kit / "wheels").glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        # behind what the machine has itself
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    if lacking := missing():
        requirements = packages()
        raise KitError(
            f"missing here, and not in the kit: {', '.join(requirements.get(name, name) for name in lacking)} "
            f"(Python {sys.version.split()[0]}): install them, or use a machine that has them"
        )
