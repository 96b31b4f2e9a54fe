"""Make the image that steps run in: this tree, as it is, on the locked packages."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file
from facerecon.workspace import PROJECT
from ops.containers.image import ABOUT, DIFFERENCE, FOLDER
from ops.lineage import commit, git, uncommitted_diff

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
"""The packages of a run and of servers and clusters, without those of development; `make lock` writes it."""
LEFT_OUT = (".ci/", ".dvc/sample", "benchmarks/", "docs/", "sample/", "tests/")
"""Of the tree: what no run reads."""
CUDA = re.compile(r"(nvidia-|cuda-|triton\b)")
"""Names of the packages that only a GPU needs begin so."""
GIGABYTE = 10**9
MOST = 6 * GIGABYTE
"""The size that an image without CUDA may have."""
PEAK = 15 * GIGABYTE
"""The disk that it may take while it is made."""
ENGINES = ("podman", "docker")


@dataclass(frozen=True)
class Made:
    """An image: its name, its size in bytes, and the disk in bytes that was taken at most while it was made."""

    name: str
    size: int
    peak: int


def make(name: str, base: str | None, gpu: bool, wheels: tuple[str, ...], engine: str | None) -> Made:
    """Make an image of this tree and call it ``name``; without success there is none of that name, or the former one.

    ``wheels`` are lines ``NAME @ ADDRESS --hash=sha256:DIGEST`` that take the place of locked packages. Without ``gpu``
    there is nothing of CUDA.

    Raises:
        FaceReconError: no engine, no space, a wheel without its hash, or the engine's failure.
    """
    program = find_engine(engine)
    storage = _storage(program)
    lock = packages(LOCK.read_text(encoding="utf-8"), gpu, wheels)
    replaced = {_name(wheel) for wheel in wheels}
    arguments = {"STUBS": "0" if gpu or "torch" in replaced else "1"} | ({} if base is None else {"BASE": base})
    difference = uncommitted_diff()
    about = {
        "commit": commit(),
        "diff": sha256_bytes(difference.encode("utf-8", "surrogateescape")) if difference else "clean",
        "lock": sha256_file(LOCK),
    }
    with tempfile.TemporaryDirectory(prefix="facerecon-image-") as temporary:
        context = Path(temporary)
        (context / "packages").mkdir()
        (context / "packages" / "requirements.txt").write_text(lock, encoding="utf-8")
        (context / "packages" / "uv.txt").write_text(_block(lock, "uv"), encoding="utf-8")
        shutil.copy(HERE / "stubs.py", context)
        _copy_tree(context / "project")
        baked = context / "project" / FOLDER.name
        baked.mkdir()
        (baked / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        (baked / DIFFERENCE).write_bytes(difference.encode("utf-8", "surrogateescape"))
        command = [program, "build", "--file", str(HERE / "Containerfile"), "--tag", name]
        command += [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        labels = {"org.opencontainers.image.revision": about["commit"]}
        labels |= {f"facerecon.{key}": about[key] for key in ("diff", "lock")}
        command += [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        if certificates := _certificates():
            command += ["--secret", f"id=ca,src={certificates}"]
        with _peak_of(storage) as peak:
            _run([*command, str(context)], storage)
    size = int(_run([program, "image", "inspect", "--format", "{{.Size}}", name], storage))
    if not gpu and size > MOST:
        raise FaceReconError(
            f"{name} has {size / GIGABYTE:.1f} GB, and without CUDA at most {MOST / GIGABYTE:.0f} were expected: see "
            f"what {LOCK.relative_to(PROJECT)} has brought in"
        )
    return Made(name, size, peak[0])


def packages(lock: str, gpu: bool, wheels: tuple[str, ...]) -> str:
    """The lock file's text for an image: without CUDA's packages unless ``gpu``, and with ``wheels`` in their place.

    Raises:
        FaceReconError: a wheel has no name, address or hash, or replaces nothing.
    """
    for wheel in wheels:
        if not re.fullmatch(r"[\w.-]+ @ \S+ --hash=sha256:[0-9a-f]{64}", wheel):
            raise FaceReconError(f"{wheel!r} is no wheel: expected 'NAME @ ADDRESS --hash=sha256:DIGEST'")
    replaced = {_name(wheel) for wheel in wheels}
    blocks = re.split(r"\n(?=[\w.-]+(?:\[[^\]]*\])?==)", lock.rstrip())
    names = [_name(block) for block in blocks]
    if absent := replaced - set(names):
        raise FaceReconError(f"{', '.join(sorted(absent))}: no such package is locked, so no wheel can take its place")
    kept = [
        block
        for name, block in zip(names, blocks, strict=True)
        if name not in replaced and (gpu or not CUDA.match(name))
    ]
    return "\n".join([*kept, *wheels]) + "\n"


def find_engine(engine: str | None) -> str:
    """The program that makes and runs containers.

    Raises:
        FaceReconError: it is not installed.
    """
    for name in ENGINES if engine is None else (engine,):
        if found := shutil.which(name):
            return found
    wanted = " or ".join(ENGINES) if engine is None else engine
    raise FaceReconError(f"{wanted} is not installed: images are made with it; `apt-get install podman buildah runc`")


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return "" if match is None else match[0].lower()


def _block(lock: str, name: str) -> str:
    """A package's lines of a lock file."""
    found = re.search(rf"^{name}==.*?(?=^\w|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name} is not locked"
    return found[0]


def _copy_tree(folder: Path) -> None:
    """Copy what git tracks, and what it would track, as it is now.

    Raises:
        FaceReconError: this is no git repository, so that it is not known what belongs to the project.
    """
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if not listed:
        raise FaceReconError(f"{PROJECT} is no git repository: images are made in a clone")
    for name in listed.rstrip("\0").split("\0"):
        source = PROJECT / name
        if source.is_file() and not name.startswith(LEFT_OUT):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _certificates() -> str | None:
    """The certificates that this machine's user has set for the package index, if any."""
    return os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT") or None


def _storage(program: str) -> Path:
    """Where the engine keeps images."""
    field = "{{.Store.GraphRoot}}" if Path(program).name == "podman" else "{{.DockerRootDir}}"
    return Path(_run([program, "info", "--format", field], None).strip())


def _run(command: list[str], storage: Path | None) -> str:
    """What a command prints.

    Raises:
        FaceReconError: it fails; with the last line that it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if any("no space left" in line.lower() for line in said):
        raise FaceReconError(
            f"no space is left on the disk of {storage}: an image takes up to {PEAK / GIGABYTE:.0f} GB while it is made"
        )
    program = Path(command[0]).name
    raise FaceReconError(f"{program} {command[1]} failed: {' '.join(said[-3:])[-500:] or 'it says nothing'}")


@contextmanager
def _peak_of(folder: Path) -> Iterator[list[int]]:
    """The disk that is taken at most while something is done, in bytes; looked at each second."""
    before, ended = shutil.disk_usage(folder).used, threading.Event()
    peak = [0]

    def watch() -> None:
        while not ended.wait(1):
            peak[0] = max(peak[0], shutil.disk_usage(folder).used - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
