"""Which code the active stack's images are expected to hold: that of who registered it last."""

from ops.containers.image import running_image
from ops.stack.tracker import COMMIT, labels


def expected_commit() -> str | None:
    """The commit that this image should have been made of; None outside of images, and where it was."""
    image = running_image()
    if image is None:
        return None
    expected = labels().get(COMMIT)
    return None if expected in (None, image.commit) else str(expected)
