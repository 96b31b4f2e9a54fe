"""Let only those modules be imported that the machine with the GPU has; Python loads this file at its start.

Others are as if they were not installed.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[4]


def listed() -> set[str]:
    """The project's modules, those of the list, those whose wheels are carried, and the standard library's."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "benchmarks" / "gpu" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    environment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(environment)
    return {"benchmarks", "facerecon", *environment.packages(), *environment.CARRIED, *sys.stdlib_module_names}


class OnlyListed(MetaPathFinder):
    """Finds by others, and of modules at the top only what is listed."""

    def __init__(self, finders: Sequence[Any]) -> None:
        self.finders, self.listed = finders, listed()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        # a file of the standard library is named after the system
        if path is None and name not in self.listed and not name.startswith("_sysconfigdata_"):
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)

    def invalidate_caches(self) -> None:
        """Have the others look anew, as ``importlib.invalidate_caches`` asks."""
        for finder in self.finders:
            if hasattr(finder, "invalidate_caches"):
                finder.invalidate_caches()


sys.meta_path[:] = [OnlyListed(tuple(sys.meta_path))]
