"""Tasks: what is trained and measured. A task is a module here, found by the name in a config's ``task:``."""

from importlib import import_module
from pkgutil import iter_modules

from facerecon.errors import FaceReconError
from facerecon.tasks.base import Cases, Gate, Task

__all__ = ["Cases", "Gate", "Task", "get_task", "list_tasks", "register_task"]

_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Make a task known under its name."""
    _TASKS[task.name] = task
    return task


def list_tasks() -> list[str]:
    """The names of all tasks: the modules of this package, and what else was registered."""
    own = {module.name for module in iter_modules(__path__) if module.name not in ("base", "settings")}
    return sorted(own | set(_TASKS))


def get_task(name: str) -> Task:
    """The task of this name, imported when it is first asked for.

    Raises:
        FaceReconError: there is no such task.
    """
    if name not in _TASKS:
        if name not in list_tasks():
            raise FaceReconError(f"task '{name}' not among {', '.join(list_tasks())}")
        import_module(f"{__name__}.{name}")
    return _TASKS[name]
