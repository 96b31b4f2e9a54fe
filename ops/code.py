"""Which of the project's code a step can reach, and its digest."""

from functools import lru_cache
from pathlib import Path

import grimp

from facerecon.files import digest_of, sha256_file
from facerecon.workspace import PROJECT

LOCK = PROJECT / "requirements.lock"
PACKAGES = ("facerecon", "ops", "steps", "pipelines")
TEMPLATES = {".html", ".j2"}
"""Files beside a module, or beside a template, that it uses by naming them in quotes."""


@lru_cache(maxsize=1)
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True)


def reached_modules(*modules: str) -> set[str]:
    """The project's modules that run when ``modules`` are imported and used: themselves, what they import, and so on.

    Importing a module runs the packages it lies in. A package that imports its own modules by name (a registry of
    families, of sources) reaches all of them.
    """
    graph = _imports()
    reached: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        found = graph.find_modules_directly_imported_by(name)
        if package := name.rpartition(".")[0]:
            found = found | {package}
        path = _file(name)
        if path.name == "__init__.py" and "iter_modules(__path__)" in path.read_text(encoding="utf-8"):
            found = found | graph.find_children(name)
        waiting |= found - reached
    return reached


def reached_files(*modules: str) -> list[str]:
    """The files of ``reached_modules`` relative to the project's root, the templates these name, and the lock file."""
    files: set[Path] = set()
    waiting = {LOCK, *map(_file, reached_modules(*modules))}
    while waiting:
        path = waiting.pop()
        files.add(path)
        source = path.read_text(encoding="utf-8")
        folders = [path.parent, path.parent / "templates"]
        near = [other for folder in folders if folder.is_dir() for other in folder.iterdir()]
        beside = {other for other in near if other.suffix in TEMPLATES and f'"{other.name}"' in source}
        waiting |= beside - files
    return sorted(str(path.relative_to(PROJECT)) for path in files)


def code_digest(*modules: str) -> str:
    """One SHA-256 for all files that ``modules`` reach: equal digests, equal code and equal libraries."""
    return digest_of({name: sha256_file(PROJECT / name) for name in reached_files(*modules)})


def _file(module: str) -> Path:
    path = PROJECT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
