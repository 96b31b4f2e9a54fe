"""What made a run: code, settings, data, weights, machine, as digests."""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

import torch

from facerecon import weights
from facerecon.contract import INPAINTING
from facerecon.files import digest_of, sha256_bytes, sha256_file
from facerecon.run import RunSettings
from facerecon.training.precision import precision_of
from facerecon.workspace import PROJECT
from ops.code import LOCK


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


def uncommitted_diff() -> str:
    """The difference of the working tree to the last commit as a patch that `git apply` takes, new files included.

    It is made with an index of its own: the user's is not touched. What `dvc repro` notes of a run makes none.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", **index)
        git("add", "--intent-to-add", "--all", **index)
        return git("diff", "HEAD", "--binary", "--full-index", "--no-ext-diff", "--", ":(exclude)dvc.lock", **index)


def dvc_digest() -> str:
    """DVC's digest of ``data/`` from ``data.dvc``, with a remark if the data has changed since; "not tracked" without.

    Asked of the file's stage directly: DVC's commands would wait for a lock while `dvc repro` runs this very pipeline.
    """
    if not (PROJECT / "data.dvc").is_file():
        return "not tracked"
    from dvc.repo import Repo

    with Repo(str(PROJECT)) as repo:
        outs = [out for stage in repo.stage.load_file(str(PROJECT / "data.dvc")) for out in stage.outs]
        return ",".join(f"{out.hash_info.value}{' (changed since)' if out.workspace_status() else ''}" for out in outs)


def weights_used(settings: RunSettings) -> list[str]:
    """Names of all pretrained weights that a run with these settings uses."""
    evaluation = settings.evaluation
    judges = [f"lpips_{evaluation.lpips_backbone}", evaluation.identity_network, *settings.promotion.judges]
    return sorted({"face_landmarker", *settings.training.losses.networks, *judges})


def settings_digest(settings: RunSettings) -> str:
    """One SHA-256 for what the settings ask for; where a training goes on from does not change what it ends with."""
    return digest_of(settings.model_dump(mode="json", exclude={"training": {"resume_from"}}))


def run_tags(
    settings: RunSettings, manifest_digest: str, masks_digest: str, weights_digest: str, code: dict[str, str]
) -> dict[str, str]:
    """The tags of a run: equal tags on equal processors mean equal weights and figures.

    ``code`` holds the digest of the code that each step reaches.
    """
    diff = uncommitted_diff()
    return {
        "config": settings.name,
        "git_commit": git("rev-parse", "HEAD").strip() or "none",
        "git_diff_digest": sha256_bytes(diff.encode("utf-8", "surrogateescape")) if diff else "clean",
        "config_digest": settings_digest(settings),
        "data_dvc_digest": dvc_digest(),
        "manifest_digest": manifest_digest,
        "masks_digest": masks_digest,
        "weights_digest": weights_digest,
        "pretrained": ",".join(f"{name}:{weights.digest(name)[:16]}" for name in weights_used(settings)),
        "lock_digest": sha256_file(LOCK) if LOCK.is_file() else "none",
        "seed": str(settings.seed),
        "device": device_name(settings.training.accelerator),
        "threads": str(settings.training.threads or torch.get_num_threads()),
        "precision": precision_of(settings.training),
        **{f"code_digest.{step}": digest for step, digest in code.items()},
    }


def device_name(accelerator: str) -> str:
    """The processor or GPU that training runs on."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} {_cpu_model()}".strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def onnx_metadata(settings: RunSettings) -> dict[str, str]:
    """What is written into the ONNX file; nothing that changes when nothing changed."""
    return {
        "family": settings.model.family,
        "size": str(settings.alignment.size),
        **INPAINTING.metadata,
        "config_digest": settings_digest(settings),
        "licence": f"code MIT; trained on data of licence: {settings.data.licence}",
    }
