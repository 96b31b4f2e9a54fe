"""Build the kit for a bare machine with a GPU: ``python -m benchmarks.gpu.build``, or ``make gpu-kit``.

Packs aligned faces (of ``--photos``, else drawn ones), frozen masks, the teachers' weights and the wheels of
``environment.CARRIED``, with a digest over the code, into ``--out``. The folder is at most 44 MiB, and 64 MiB with the
working tree.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.command import as_command
from benchmarks.gpu.environment import CARRIED, PROJECT, tree_digest
from benchmarks.gpu.kit import pack_faces
from benchmarks.inpainting import InpaintingRun
from benchmarks.recipes import faces_of
from facerecon.corruption.frozen import build_mask_set
from facerecon.data.settings import SplitShares
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file, write_json
from facerecon.randomness import unit_interval
from facerecon.settings import first_problem
from facerecon.synthetic import write_dataset
from facerecon.weights import weights_path
from ops.lineage import git, uncommitted_diff

MIB = 2**20
MOST, MOST_WITH_TREE = 44 * MIB, 64 * MIB

FAMILIES = ("brush", "held_out")
LEVELS = (1, 2, 3)
MASKS = 64
"""Masks of each family and level."""

TEACHERS = ("lpips_alex", "sface")
"""The networks of the loss; those that judge are larger and stay here."""

PHOTOS = 4
"""Drawn photos of each person."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def faces(photos: Path | None, source: str, size: int, count: int, state: Path) -> Any:
    """At most ``count`` aligned faces, chosen by hash, of a folder of photos; without one, of drawn ones."""
    if photos is None:
        photos, people = state / f"drawn-{count}", max(8, -(-count // PHOTOS))
        write_dataset(photos, weights_path("face_landmarker"), people, PHOTOS, max(192, 2 * size))
    manifest = faces_of(photos, source, state, size, SplitShares(), count + count // 20)
    rows = manifest.faces
    chosen = sorted(rows.index, key=lambda i: unit_interval("gpu kit", str(rows.at[i, "face"])))[:count]
    return replace(manifest, faces=rows.loc[sorted(chosen)].reset_index(drop=True))


def fetch_wheels(folder: Path) -> None:
    """Download the wheels that the machine lacks, in the versions and by the hashes of requirements.lock."""
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    pinned = []
    for name in CARRIED.values():
        found = re.search(rf"^{name}==\S+(?:[^\n]*\\\n)(?:    --hash[^\n]*\n?)+", lock, re.MULTILINE)
        if not found:
            raise FaceReconError(f"requirements.lock does not pin {name}: see CARRIED in benchmarks/gpu/environment.py")
        # a marker of the lock is for the Python of this clone
        pinned.append(re.sub(r" ;[^\\\n]*", "", found[0]))
    with tempfile.TemporaryDirectory() as temporary:
        requirements = Path(temporary) / "wheels.lock"
        requirements.write_text("\n".join(pinned), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation=cp", "--python-version=3.12", "--require-hashes"]
        command += [f"--platform={platform}" for platform in PLATFORMS]
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise FaceReconError(
            f"the kit's wheels could not be fetched ({told[-1] if told else done.returncode}): try again"
        )


def tree_size() -> int:
    """Bytes of the working tree as it would travel: files that git does not ignore."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sum(path.stat().st_size for path in (PROJECT / name for name in names if name) if path.is_file())


def commit() -> str:
    """The commit, and "+ changes" with their digest if the tree has some."""
    head, diff = git("rev-parse", "HEAD").strip()[:12] or "unknown", uncommitted_diff()
    return f"{head} + changes {sha256_bytes(diff.encode('utf-8', 'surrogateescape'))[:8]}" if diff else head


def build(out: Path, photos: Path | None, source: str, size: int, count: int, state: Path) -> dict[str, Any]:
    """Build the kit in ``out``, which is replaced, and give what it says of itself.

    Raises:
        FaceReconError: it would be too large, or its parts cannot be had.
    """
    state.mkdir(parents=True, exist_ok=True)
    # of the tree as it is without what follows
    built_from, size_of_tree = commit(), tree_size()
    with tempfile.TemporaryDirectory(prefix=f"{out.name}-unfinished-", dir=out.resolve().parent) as temporary:
        folder = Path(temporary) / "kit"
        try:
            manifest = faces(photos, source, size, count, state)
        except ValidationError as error:
            raise FaceReconError(first_problem(error, "the kit's faces", InpaintingRun)) from None
        pack_faces(manifest, folder)
        masks = build_mask_set(folder / "masks", size, FAMILIES, LEVELS, MASKS)
        (folder / "weights").mkdir()
        for name in TEACHERS:
            shutil.copy2(weights_path(name), folder / "weights")
        fetch_wheels(folder / "wheels")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        about: dict[str, Any] = {
            "commit": built_from,
            "tree": tree_digest(),
            "faces": len(manifest.faces),
            "people": int(manifest.faces["identity"].nunique()),
            "source": source if photos else "drawn",
            "size": size,
            "masks": masks.description,
            "files": {path.relative_to(folder).as_posix(): sha256_file(path) for path in files},
        }
        write_json(folder / "kit.json", about)
        size_of_kit = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        whole = size_of_kit + size_of_tree
        if size_of_kit > MOST or whole > MOST_WITH_TREE:
            raise FaceReconError(
                f"the kit has {size_of_kit / MIB:.1f} MiB, {whole / MIB:.1f} with the tree; expected at most "
                f"{MOST // MIB} and {MOST_WITH_TREE // MIB}: ask for fewer or smaller faces (--faces, --size)"
            )
        if out.exists():
            out.rename(Path(temporary) / "before")
        folder.rename(out)
    about["mib"] = size_of_kit / MIB
    about["mib_with_tree"] = whole / MIB
    return about


def main() -> None:
    """Build and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, help="a folder of photos; without it faces are drawn")
    parser.add_argument("--source", default="folder", help="the layout of that folder")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--faces", type=int, default=2500, help="at most; chosen by hash")
    parser.add_argument("--out", type=Path, default=Path(".gpu"))
    parser.add_argument("--state", type=Path, default=Path(".facerecon/benchmarks"))
    args = parser.parse_args()
    about = build(args.out, args.photos, args.source, args.size, args.faces, args.state)
    print(
        f"{args.out}: {about['faces']} faces of {about['people']} people ({about['source']}) at {about['size']} px, "
        f"commit {about['commit']}, {about['mib']:.1f} MiB, {about['mib_with_tree']:.1f} with the tree"
    )


if __name__ == "__main__":
    as_command(main)
