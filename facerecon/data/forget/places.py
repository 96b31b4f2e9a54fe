"""Files in the data: how people know them, and taking one away."""

import os
import shutil
from pathlib import Path


def shown_path(path: Path, project: Path) -> str:
    """``path`` as people know it: from the project's root where it lies there."""
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def behind_link(path: Path, project: Path) -> Path | None:
    """The link by which ``path`` leads to another place, None where it leads through none."""
    top = project if path.is_relative_to(project) else path.parent
    return next((folder for folder in path.parents if folder.is_relative_to(top) and folder.is_symlink()), None)


def remove_file(path: Path, root: Path, project: Path) -> list[str]:
    """Remove a file, or a folder with all in it, and the folders up to ``root`` that are left empty.

    A link within the root is followed: what it leads to is as much this project's. Returns a line if the file is still
    there: it lies behind a link that leads out, or cannot be removed.
    """
    if not os.path.lexists(path):
        return []
    shown = shown_path(path, project)
    if link := behind_link(path, project):
        real = path.parent.resolve() / path.name
        if behind_link(root / path.name, project) is None and real.is_relative_to(root.resolve()):
            left = remove_file(real, root.resolve(), project.resolve())
            if not link.exists():
                link.unlink()  # its name may be a person's
            return left
        return [f"{shown}: lies behind the link {shown_path(link, project)}, remove it in {path.resolve()}"]
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for folder in path.parents:
            if not folder.is_relative_to(root) or folder == root or any(folder.iterdir()):
                break
            folder.rmdir()
    except OSError as error:
        return [f"{shown}: cannot be removed: {error.strerror}"]
    return []
