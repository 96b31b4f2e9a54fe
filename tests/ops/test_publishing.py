from ops.publishing import write_pages


def test_pages_of_an_earlier_run_do_not_stay(tmp_path):
    folder = tmp_path / "data_docs"
    write_pages(folder, {"index.html": "1", "tracks.html": "1"})
    write_pages(folder, {"index.html": "2", "faces.html": "2"})
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"index.html": "2", "faces.html": "2"}
