"""Any folder of images; where photos lie in subfolders, one of these names the person."""

from collections.abc import Iterator
from pathlib import Path

from facerecon.data.people import named_by_folders
from facerecon.data.sources import Photo, SourceContext, register_source


@register_source()
def folder(root: Path, context: SourceContext) -> Iterator[Photo]:
    """Photos anywhere under ``root``; see ``named_by_folders`` for who is in them.

    Raises:
        FaceReconError: the folders part a data set and name nobody.
    """
    found = [path.relative_to(root) for path in context.image_files(root)]
    people = named_by_folders([path.parts[:-1] for path in found], context.settings.identity_level, str(root))
    for path, person in zip(found, people, strict=True):
        yield Photo(path.as_posix(), person)
