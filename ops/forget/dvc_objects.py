"""What DVC keeps of files: objects in its cache, listings of folders, versions in git's history, copies in remotes.

DVC names an object by the MD5 of its bytes, and a folder's by that of its listing, with ``.dir`` behind it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from facerecon.data.forget import shown_path
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT
from ops.lineage import git

Listing = dict[str, str]
"""Of a folder: path relative to it -> MD5."""


@dataclass(frozen=True)
class Kept:
    """What DVC keeps of some files: ``objects`` by MD5, ``listings`` that name any of them."""

    objects: tuple[str, ...] = ()
    listings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.objects or self.listings)

    def __or__(self, other: "Kept") -> "Kept":
        pairs = ((self.objects, other.objects), (self.listings, other.listings))
        return Kept(*(tuple(sorted({*mine, *theirs})) for mine, theirs in pairs))


@dataclass(frozen=True)
class Copy:
    """A remote by ``name`` and ``url``, and what lies there, or, where it was not asked, what may (``certain``)."""

    name: str
    url: str
    kept: Kept
    certain: bool


def tracked() -> bool:
    """Whether the project is a DVC repository."""
    return (PROJECT / ".dvc").is_dir()


@contextmanager
def _repo() -> Iterator[Repo]:
    try:
        with Repo(str(PROJECT)) as repo:
            yield repo
    except (LockError, DvcException) as error:
        raise FaceReconError(
            f"DVC does not do its part ({error}): wait until no other dvc command runs, then give the command again"
        ) from error


def kept_of(paths: Iterable[Path], contents: Iterable[Path] = ()) -> Kept:
    """What DVC keeps of files, whatever versions of them it has, and of the present bytes of ``contents``."""
    if not tracked():
        return Kept()
    paths = list(paths)
    present = {_md5(path) for path in (*paths, *contents) if path.is_file()}
    with _repo() as repo:
        stores, folders = _local(repo), {Path(out.fs_path) for out in repo.index.outs}
        names = {path.relative_to(folder).as_posix() for path in paths for folder in folders if _within(path, folder)}
        listings = _listings(stores)
        objects = {md5 for listing in listings.values() for name, md5 in listing.items() if name in names}
        for listing in listings.values():
            objects |= present.intersection(listing.values())
        objects |= {md5 for md5 in present if any(store.exists(md5) for store in stores)}
    naming = {oid for oid, listing in listings.items() if not objects.isdisjoint(listing.values())}
    return Kept(tuple(sorted(objects)), tuple(sorted(naming)))


def update(paths: Iterable[Path], kept: Kept) -> list[str]:
    """Bring the ``.dvc`` files up to date after ``paths`` were removed; a line for each that could not be."""
    if not tracked():
        return []
    left, paths = [], list(paths)
    with _repo() as repo:
        outs = [out for out in repo.index.outs if out.stage.is_data_source]
        for out in outs:
            folder, file = Path(out.fs_path), out.stage.path_in_repo
            inside = [path for path in paths if _within(path, folder) and not repo.dvcignore.is_ignored_file(str(path))]
            listing = _listings(_local(repo)).get(out.hash_info.value or "")
            if not inside or (listing is not None and not _lists(listing, folder, inside, kept)):
                continue
            missing = [name for name in listing or {} if not (folder / name).exists() and folder / name not in inside]
            if listing is None or missing:
                what = (
                    "what it lists is not known here"
                    if listing is None
                    else f"{len(missing)} files it lists are absent"
                )
                left.append(f"{file}: not brought up to date, {what}: `dvc pull {file}`, then `dvc add {out.def_path}`")
                continue
            repo.add([str(folder)])
    return left


def _lists(listing: Listing, folder: Path, paths: list[Path], kept: Kept) -> bool:
    names = {path.relative_to(folder).as_posix() for path in paths}
    return any(name in names or md5 in kept.objects for name, md5 in listing.items())


def remove(kept: Kept, paths: Iterable[Path] = ()) -> list[str]:
    """Remove objects and listings from the caches; a line for each that a file which stays needs.

    What was written anew of ``paths`` may be what an older version was: it names nobody. DVC's memory of paths and
    their digests goes too: it makes it anew.
    """
    if not tracked():
        return []
    written = set(paths)
    with _repo() as repo:
        needed: dict[str, set[Path]] = {}
        caches = _caches(repo)
        listings = _listings(caches)
        for out in repo.index.outs:
            oid, folder = out.hash_info.value if out.hash_info else None, Path(out.fs_path)
            if out.stage.is_data_source and oid:
                needed.setdefault(oid, set()).add(folder)
            for name, md5 in listings.get(oid or "", {}).items():
                if (folder / name).exists():
                    needed.setdefault(md5, set()).add(folder / name)
        for oid in (*kept.listings, *kept.objects):
            for cache in caches if oid not in needed else ():
                Path(cache.oid_to_path(oid)).unlink(missing_ok=True)
        memory = Path(repo.site_cache_dir)
    shutil.rmtree(memory, ignore_errors=True)
    others = sorted(path for oid in kept.objects for path in needed.get(oid, set()) - written)
    return [f"{shown_path(path, PROJECT)}: DVC tracks the same bytes there" for path in others]


def copies(kept: Kept) -> list[Copy]:
    """What lies in remotes, or may: only those on this machine's disks are asked."""
    if not tracked() or not kept:
        return []
    found = []
    with _repo() as repo:
        for name, remote in repo.config["remote"].items():
            odb = _remote(repo, name)
            held = kept
            if odb is not None:
                held = Kept(*(tuple(oid for oid in oids if odb.exists(oid)) for oids in (kept.objects, kept.listings)))
            if held:
                found.append(Copy(name, str(remote["url"]), held, odb is not None))
    return found


def commits_naming(listings: Iterable[str]) -> dict[str, list[str]]:
    """The commits whose ``.dvc`` files and ``dvc.lock`` name any of the listings, the newest first, by listing."""
    wanted: set[str] = set(listings)
    found: dict[str, list[str]] = {}
    for commit in git("log", "--all", "--format=%H", "--", "*.dvc", "dvc.lock").split() if wanted else []:
        for file in git("ls-tree", "-r", "--name-only", commit).splitlines():
            if file.endswith(".dvc") or file == "dvc.lock":
                for oid in wanted.intersection(_digests(yaml.safe_load(git("show", f"{commit}:{file}")))):
                    found.setdefault(oid, []).append(commit)
    return found


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(value["md5"]),) if "md5" in value else ()
        for inner in value.values():
            yield from _digests(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _digests(inner)


def _within(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


def _caches(repo: Repo) -> list[Any]:
    """The cache, and that of objects which DVC 2 made."""
    return [repo.cache.local, repo.cache.legacy]


def _remote(repo: Repo, name: str) -> Any:
    """The store of a remote on this machine's disks, None for others."""
    remote = repo.cloud.get_remote(name=name)
    return remote.odb if remote.fs.protocol in ("local", "file") else None


def _local(repo: Repo) -> list[Any]:
    """The caches, and the remotes on this machine's disks."""
    remotes = [_remote(repo, name) for name in repo.config["remote"]]
    return [*_caches(repo), *(odb for odb in remotes if odb is not None)]


def _listings(stores: Iterable[Any]) -> dict[str, Listing]:
    found: dict[str, Listing] = {}
    for odb in stores:
        for path in Path(odb.path).glob("??/*.dir"):
            oid = path.parent.name + path.name
            try:
                rows = json.loads(path.read_bytes())
                found[oid] = {row["relpath"]: row["md5"] for row in rows}
            except (OSError, ValueError, KeyError, TypeError):
                continue  # a damaged listing lists nothing
    return found


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
