"""What made a run: code, settings, data, weights, machine, as digests."""

import platform
import subprocess
from functools import lru_cache
from pathlib import Path

import torch

from facerecon import weights
from facerecon.config.run import RunSettings
from facerecon.files import digest_of, sha256_bytes, sha256_file
from ops.paths import PROJECT

LOCK = PROJECT / "requirements.lock"
CODE_FOLDERS = ("facerecon", "ops", "steps", "pipelines")


@lru_cache(maxsize=1)
def code_digest() -> str:
    """A digest of the project's code and lock file; ZenML puts it into every step's cache key."""
    files = sorted(path for folder in CODE_FOLDERS for path in (PROJECT / folder).rglob("*") if _is_code(path))
    return digest_of({str(path.relative_to(PROJECT)): sha256_file(path) for path in (*files, LOCK)})


def _is_code(path: Path) -> bool:
    return path.is_file() and path.suffix in {".py", ".html", ".j2", ".lock", ".txt"}


def git(*arguments: str) -> str:
    """What git prints in the project's root, "" where there is no repository or no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout


def uncommitted_diff() -> str:
    """The difference of the working tree to the last commit, with files that git does not know yet."""
    unknown = git("ls-files", "--others", "--exclude-standard").splitlines()
    listed = "".join(f"new file {name} {sha256_file(PROJECT / name)}\n" for name in unknown)
    return git("diff", "HEAD", "--no-ext-diff") + listed


def dvc_digest() -> str:
    """DVC's digest of ``data/`` from ``data.dvc``, with a remark if the data has changed since; "not tracked" without.

    Asked of DVC's index directly: its commands would wait for a lock while `dvc repro` runs this very pipeline.
    """
    if not (PROJECT / "data.dvc").is_file():
        return "not tracked"
    from dvc.repo import Repo

    with Repo(str(PROJECT)) as repo:
        outs = [out for out in repo.index.outs if out.stage.path_in_repo == "data.dvc"]
        return ",".join(f"{out.hash_info.value}{' (changed since)' if out.workspace_status() else ''}" for out in outs)


def weights_in_loss(settings: RunSettings) -> list[str]:
    """Names of the pretrained networks that the training loss uses."""
    losses = settings.training.losses
    return (["lpips_alex"] if losses.perceptual else []) + ([losses.identity_network] if losses.identity else [])


def weights_used(settings: RunSettings) -> list[str]:
    """Names of all pretrained weights that a run with these settings uses."""
    evaluation = settings.evaluation
    judges = [f"lpips_{evaluation.lpips_backbone}", evaluation.identity_network]
    return sorted({"face_landmarker", *weights_in_loss(settings), *judges})


def run_tags(settings: RunSettings, manifest_digest: str, masks_digest: str, weights_digest: str) -> dict[str, str]:
    """The tags of a run: equal tags on equal processors mean equal weights and figures."""
    diff = uncommitted_diff()
    return {
        "config": settings.name,
        "git_commit": git("rev-parse", "HEAD").strip() or "none",
        "git_diff_digest": sha256_bytes(diff.encode()) if diff else "clean",
        "config_digest": digest_of(settings.model_dump(mode="json")),
        "data_dvc_digest": dvc_digest(),
        "manifest_digest": manifest_digest,
        "masks_digest": masks_digest,
        "weights_digest": weights_digest,
        "pretrained": ",".join(f"{name}:{weights.digest(name)[:16]}" for name in weights_used(settings)),
        "lock_digest": sha256_file(LOCK) if LOCK.is_file() else "none",
        "seed": str(settings.seed),
        "device": device_name(settings.training.accelerator),
        "threads": str(settings.training.threads or torch.get_num_threads()),
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
        "normalisation": "RGB, uint8 / 127.5 - 1",
        "mask_polarity": "1 = hole, 0 = known",
        "config_digest": digest_of(settings.model_dump(mode="json")),
        "licence": f"code MIT; trained on data of licence: {settings.data.licence}",
    }
