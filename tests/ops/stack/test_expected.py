"""An image of another commit than its stack expects is noticed."""

import pytest

from ops.containers.image import Image
from ops.stack import expected
from ops.stack.tracker import COMMIT


@pytest.mark.parametrize(
    ("image", "label", "found"),
    [
        (None, "new", None),
        (Image("old", ""), None, None),
        (Image("new", ""), "new", None),
        (Image("old", ""), "new", "new"),
    ],
)
def test_only_in_an_image_of_another_commit(monkeypatch, image, label, found) -> None:
    monkeypatch.setattr(expected, "running_image", lambda: image)
    monkeypatch.setattr(expected, "labels", lambda: {} if label is None else {COMMIT: label})
    assert expected.expected_commit() == found
