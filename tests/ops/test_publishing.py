import pytest

from ops.publishing import kind_of


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no face found", "no face found"),
        ("2 faces found", "several faces found"),
        ("duplicate of a/b.jpg", "duplicate"),
        ("face too small: 50 px for a crop of 64 px", "face too small"),
        ("cannot be decoded: broken\nfile", "cannot be decoded"),
    ],
)
def test_reasons_are_counted_by_kind(reason, kind):
    assert kind_of(reason) == kind
