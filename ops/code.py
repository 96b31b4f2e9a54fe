"""Which of the project's code a step can reach, and its digest.

What a module imports is seen in its source. What it loads by name it declares in a constant: ``LOADED_MODULES``,
patterns of modules, or ``LOADED_FILES``, patterns of files in its folder. Modules that the config names are declared by
nobody, so that a step does not reach them all: they are given beside the step as ``also``.
"""

import ast
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

import grimp

from facerecon.files import digest_of, sha256_file
from facerecon.workspace import PROJECT

LOCK = PROJECT / "requirements.lock"
PACKAGES = ("facerecon", "ops", "steps", "pipelines")


@lru_cache(maxsize=1)
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True)


def reached_modules(*modules: str) -> set[str]:
    """The project's modules that run when ``modules`` are imported and used: themselves, what they import or load.

    Importing a module runs the packages it lies in.
    """
    graph = _imports()
    reached: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        found = set(graph.find_modules_directly_imported_by(name))
        if package := name.rpartition(".")[0]:
            found.add(package)
        for pattern in declared(module_file(name), "LOADED_MODULES"):
            found |= {other for other in graph.modules if fnmatch(other, pattern)}
        waiting |= found - reached
    return reached


def reached_files(module: str, *also: str) -> list[str]:
    """The files of ``reached_modules``, those that these load, and the lock file; relative to the project's root."""
    files = {LOCK}
    for path in map(module_file, reached_modules(module, *also)):
        files.add(path)
        for pattern in declared(path, "LOADED_FILES"):
            files.update(path.parent.glob(pattern))
    return sorted(str(path.relative_to(PROJECT)) for path in files)


def code_digest(module: str, *also: str) -> str:
    """One SHA-256 for all that ``reached_files`` names: equal digests, equal code and equal libraries."""
    return digest_of({name: sha256_file(PROJECT / name) for name in reached_files(module, *also)})


def tree_digest() -> str:
    """One SHA-256 for all of the project's code that steps can reach, and the lock file."""
    files = {LOCK}
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            files.add(path)
            for pattern in declared(path, "LOADED_FILES"):
                files.update(path.parent.glob(pattern))
    return digest_of({str(path.relative_to(PROJECT)): sha256_file(path) for path in sorted(files)})


def declared(path: Path, constant: str) -> tuple[str, ...]:
    """The strings of a module's constant, read from its source; none where it has no such constant."""
    source = path.read_text(encoding="utf-8")
    if constant in source:
        for node in ast.parse(source).body:
            match node:
                case ast.Assign([ast.Name(id=name)], value) | ast.AnnAssign(ast.Name(id=name), _, value):
                    if name == constant and value is not None:
                        return tuple(ast.literal_eval(value))
    return ()


def module_file(module: str) -> Path:
    """Where a module's source lies."""
    path = PROJECT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
