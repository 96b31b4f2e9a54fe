"""Any folder of images; where photos lie in subfolders, the first one below the root names the person."""

from collections.abc import Iterator
from pathlib import Path

from facerecon.data.sources import Photo, SourceContext, image_files, register_source


@register_source()
def folder(root: Path, context: SourceContext) -> Iterator[Photo]:
    """Photos anywhere under ``root``: ``<identity>/.../<photo>``, or ``<photo>`` of a person not named."""
    for path in image_files(root):
        relative = path.relative_to(root)
        yield Photo(relative.as_posix(), relative.parts[0] if len(relative.parts) > 1 else None)
