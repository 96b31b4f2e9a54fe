"""Which code the active stack's images are expected to hold: that of who registered it last."""

from zenml.client import Client
from zenml.enums import StackComponentType

from ops.containers.image import running_image
from ops.lineage import commit
from ops.stack.tracker import COMMIT, labels


def expect_this_commit() -> None:
    """Write on the active stack's tracker that images are made of this commit."""
    tracker = Client().active_stack_model.components[StackComponentType.EXPERIMENT_TRACKER][0]
    if (tracker.labels or {}).get(COMMIT) != commit():
        Client().update_stack_component(tracker.id, StackComponentType.EXPERIMENT_TRACKER, labels={COMMIT: commit()})


def expected_commit() -> str | None:
    """The commit that this image should have been made of; None outside of images, and where it was."""
    image = running_image()
    if image is None:
        return None
    expected = labels().get(COMMIT)
    return None if expected in (None, image.commit) else str(expected)
