"""What made a run: code, settings, data, weights, machine, as digests."""

import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from facerecon import weights
from facerecon.data.settings import licence_text, licences_of
from facerecon.data.sources import source_modules
from facerecon.files import sha256_bytes, sha256_file
from facerecon.retraining.settings import COLLECTED
from facerecon.run import RunSettings
from facerecon.tasks import get_task
from facerecon.tasks.base import Part
from facerecon.workspace import PROJECT
from ops.code import LOCK, code_digest
from ops.containers.image import running_image
from ops.initial_weights import InitialWeights


def git(*arguments: str, **environment: str) -> str:
    """What git prints in the project's root, "" where there is no repository or no git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, env=os.environ | environment, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    # what is not valid UTF-8 in a file must come through a patch unchanged
    return done.stdout.decode("utf-8", "surrogateescape")


NOTED = (":(exclude)dvc.lock", ":(exclude)collected.dvc")
"""What `dvc repro` and a retraining write of themselves."""


def uncommitted_diff() -> str:
    """The difference of the working tree to the last commit as a patch that `git apply` takes, new files included.

    It is made with an index of its own: the user's is not touched. What runs note of themselves for DVC makes none. In
    an image it is that of the tree that the image was made of.
    """
    if image := running_image():
        return image.difference
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", **index)
        git("add", "--intent-to-add", "--all", **index)
        return git("diff", "HEAD", "--binary", "--full-index", "--no-ext-diff", "--", *NOTED, **index)


def commit() -> str:
    """The commit of the working tree, or that of the image that this runs in; "none" where there is none."""
    image = running_image()
    return (git("rev-parse", "HEAD").strip() or "none") if image is None else image.commit


def dvc_digest(file: Path | None = None) -> str:
    """DVC's digest from a ``.dvc`` file, by default that of ``data/``, with a remark if the data has changed since.

    "not tracked" without such a file.

    Asked of the file's stage directly: DVC's commands would wait for a lock while `dvc repro` runs this very pipeline.
    """
    file = PROJECT / "data.dvc" if file is None else file
    if not file.is_file():
        return "not tracked"
    from dvc.repo import Repo

    with Repo(str(PROJECT)) as repo:
        outs = [out for stage in repo.stage.load_file(str(file)) for out in stage.outs]
        return ",".join(f"{out.hash_info.value}{' (changed since)' if out.workspace_status() else ''}" for out in outs)


def run_provenance(settings: RunSettings, initial: InitialWeights | None) -> dict[str, str]:
    """What is known of a run before it starts: code, settings, data, pretrained weights, machine."""
    diff = uncommitted_diff()
    learns = any(source.source == COLLECTED for source in settings.data)
    collected = {"collected_dvc_digest": dvc_digest(PROJECT / "collected.dvc")} if learns else {}
    return {
        "config": settings.name,
        "task": settings.task,
        "git_commit": commit(),
        "git_diff_digest": sha256_bytes(diff.encode("utf-8", "surrogateescape")) if diff else "clean",
        "config_digest": settings.digest,
        "data_dvc_digest": dvc_digest(),
        **collected,
        "pretrained": ",".join(f"{name}:{weights.digest(name)[:16]}" for name in sorted(pretrained_of(settings))),
        "lock_digest": sha256_file(LOCK) if LOCK.is_file() else "none",
        "seed": str(settings.seed),
        **({} if initial is None else {"initial_weights": initial.digest, "initial_weights_from": initial.source}),
    }


def pretrained_of(settings: RunSettings) -> dict[str, list[str]]:
    """The pretrained weights that a run with these settings uses, each with what it is used for."""
    return {"face_landmarker": ["alignment"], **settings.pretrained}


def step_digests(settings: RunSettings, steps: tuple[str, ...]) -> dict[str, str]:
    """The digest of the code that each step reaches; also what the config names: the sources, the task's
    parts, the model family."""
    return {step: code_digest(f"steps.{step}", *named_modules(settings, step)) for step in steps}


def named_modules(settings: RunSettings, step: str) -> list[str]:
    """The modules that a step imports because the config names them."""
    if step == "ingest":
        return source_modules(source.source for source in settings.data)
    if step not in _PARTS:
        return []
    task = get_task(settings.task)
    family = f"facerecon.models.{settings.model.family}"
    modules = [f"facerecon.tasks.{task.name}", *(task.module_of(part) for part in _PARTS[step])]
    # a family that a task's own module registers has no module of its name
    return modules + ([family] if step in _BUILDS and find_spec(family) else [])


_PARTS: dict[str, tuple[Part, ...]] = {
    "freeze_cases": ("cases",),
    "train": ("cases", "training"),
    "evaluate": ("cases", "evaluation", "details"),
    "export": ("cases", "export"),
    "promote": ("cases", "gate"),
    "publish": ("settings", "cases", "details", "report"),
}
"""The parts of the task that a step uses."""

_BUILDS = {"train", "evaluate", "export", "promote"}
"""The steps that build the network."""


def onnx_metadata(settings: RunSettings) -> dict[str, str]:
    """What is written into the ONNX file; nothing that changes when nothing changed."""
    return {
        "task": settings.task,
        "family": settings.model.family,
        "config_digest": settings.digest,
        **get_task(settings.task).signature.metadata,
        "licence": f"code MIT; trained on data of licence: {licence_text(licences_of(settings.data))}",
    }
