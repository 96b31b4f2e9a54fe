"""What still names a person, and what only looks like it."""

import pytest

from facerecon.data.forget import Target, Trace
from ops.forget import Survey
from ops.forget.needles import Needles


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("Jo An", False),
        ("x Joan y", True),
        ("Joanna", False),
        ("person_0001/1.png", False),
        ("in Joan/1.png,", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("1234", False),
    ],
)
def test_a_name_is_found_as_a_word_and_a_digest_as_a_whole(content, seen):
    found = Survey(Target("identity", "Joan"), [Trace("/data", "Joan/1.png", "a" * 64, "Joan")])
    assert Needles(found).within_text(content) == seen


def test_a_number_is_no_telling_name():
    found = Survey(Target("identity", "2880"), [Trace("/data", "000001.jpg", "a" * 64, "2880")])
    assert not Needles(found).within_text("in 2880 steps")
    assert Needles(found).within_text("see 000001.jpg")
