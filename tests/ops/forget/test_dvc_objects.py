"""What DVC keeps of a file, on a repository of the test's own with a remote beside it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from ops.forget import dvc_objects
from ops.forget.dvc_objects import Kept, commits_naming, copies, kept_of, remove, update


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Two people under DVC, two commits: in the second Bob has one photo more. All is in the remote ``backup``."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    for name in ("Ada", "Bob"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "0.png").write_bytes(name.encode())
    git(folder, "init", "-q")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        Repo.init(str(folder)).close()
        with Repo(str(folder)) as repo, repo.config.edit() as config:
            backup = str(folder.parent / "backup")
            config["remote"] = {"backup": {"url": backup}, "far": {"url": "https://example.com/faces"}}
        for number in range(2):
            (folder / "data" / "Bob" / f"{number}.png").write_bytes(b"Bob %d" % number)
            with Repo(str(folder)) as repo:
                repo.add([str(folder / "data")])
                repo.push(remote="backup")
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", str(number))
    return folder


@pytest.fixture
def project(template, tmp_path, monkeypatch) -> Path:
    """A copy of ``template``; the remote is that of the template."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for module in ("ops.forget.dvc_objects", "ops.lineage"):
        monkeypatch.setattr(f"{module}.PROJECT", tmp_path / "project")
    return Path(shutil.copytree(template, tmp_path / "project", symlinks=True))


def objects(project: Path) -> set[str]:
    found = (project / ".dvc" / "cache" / "files" / "md5").glob("??/*")
    return {path.parent.name + path.name for path in found}


def forget(project: Path, name: str = "Ada/0.png") -> tuple[Kept, list[str]]:
    path = project / "data" / name
    kept = kept_of([path])
    path.unlink(missing_ok=True)
    return kept, [*update([path], kept), *remove(kept)]


def test_the_object_and_every_listing_that_names_it_go_and_the_rest_stays(project):
    before = objects(project)
    kept, left = forget(project)
    assert left == []
    assert (len(kept.objects), len(kept.listings)) == (1, 2)
    gone = before - objects(project)
    assert gone == {*kept.objects, *kept.listings}
    with Repo(str(project)) as repo:
        assert not repo.data_status()["uncommitted"]
        assert (project / "data" / "Bob" / "1.png").read_bytes() == b"Bob 1"
    assert kept.listings[0] not in (project / "data.dvc").read_text()


def test_doing_it_again_changes_nothing(project):
    forget(project)
    now = objects(project), (project / "data.dvc").read_text()
    kept, left = forget(project)
    assert left == []
    assert (objects(project), (project / "data.dvc").read_text()) == now
    # the listings in the remote still tell which object it was
    assert len(kept.objects) == 1


def test_killed_after_the_file_was_removed_it_is_finished(project):
    path = project / "data" / "Ada" / "0.png"
    kept = kept_of([path])
    path.unlink()
    assert kept_of([path]) == kept
    assert update([path], kept) == []
    assert remove(kept) == []
    assert objects(project).isdisjoint(kept.objects)


def test_an_older_commit_cannot_bring_it_back(project):
    forget(project)
    git(project, "checkout", "-q", "HEAD~1", "--", "data.dvc")
    with Repo(str(project)) as repo, pytest.raises(Exception, match="Checkout failed"):
        repo.checkout(force=True)
    assert not (project / "data" / "Ada" / "0.png").exists()


def test_remotes_on_this_machine_are_asked_and_others_may_hold_it(project):
    kept, _ = forget(project)
    backup, far = copies(kept)
    assert (backup.name, backup.certain, backup.kept) == ("backup", True, kept)
    assert (far.name, far.url, far.certain, far.kept) == ("far", "https://example.com/faces", False, kept)


def test_commits_that_name_an_older_version_are_told(project):
    kept, _ = forget(project)
    commits = commits_naming(kept.listings)
    assert set(commits) == set(kept.listings)
    assert all(len(found) == 1 for found in commits.values())


def test_bytes_that_a_kept_file_shares_stay_and_are_told(project):
    (project / "data" / "Bob" / "same.png").write_bytes(b"Ada")
    kept, left = forget(project)
    assert left == ["data/Bob/same.png: DVC tracks the same bytes there"]
    assert set(kept.objects) <= objects(project)


def test_data_that_is_not_all_here_is_not_recorded_as_removed(project):
    (project / "data" / "Bob" / "1.png").unlink()
    before = (project / "data.dvc").read_text()
    _, left = forget(project)
    assert left == [
        "data.dvc: not brought up to date, 1 files it lists are absent: `dvc pull data.dvc`, then `dvc add data`"
    ]
    assert (project / "data.dvc").read_text() == before


def test_files_that_dvc_is_told_to_ignore_leave_data_dvc_alone(project):
    (project / ".dvcignore").write_text("/data/own\n")
    (project / "data" / "own").mkdir()
    (project / "data" / "own" / "0.png").write_bytes(b"own")
    before = (project / "data.dvc").read_text()
    assert forget(project, "own/0.png")[1] == []
    assert (project / "data.dvc").read_text() == before


def test_without_dvc_there_is_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(dvc_objects, "PROJECT", tmp_path)
    kept = kept_of([tmp_path / "x"])
    assert not kept
    assert (update([tmp_path / "x"], kept), remove(kept), copies(kept)) == ([], [], [])
