import pytest

from ops.publishing import kind_of, write_pages


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no face found", "no face found"),
        ("2 faces found", "several faces found"),
        ("duplicate of a/b.jpg", "duplicate"),
        ("near-duplicate of a/b.jpg in split train", "near-duplicate"),
        ("face too small: 50 px for a crop of 64 px", "face too small"),
        ("cannot be decoded: broken\nfile", "cannot be decoded"),
    ],
)
def test_reasons_are_counted_by_kind(reason, kind):
    assert kind_of(reason) == kind


def test_pages_of_an_earlier_run_do_not_stay(tmp_path):
    folder = tmp_path / "data_docs"
    write_pages(folder, {"index.html": "1", "tracks.html": "1"})
    write_pages(folder, {"index.html": "2", "faces.html": "2"})
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"index.html": "2", "faces.html": "2"}
