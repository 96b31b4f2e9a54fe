"""What a run whose steps are containers asks of ZenML: the image, its code, and a volume with the state."""

from collections.abc import Iterator
from typing import Any

from zenml.config import DockerSettings
from zenml.orchestrators import BaseOrchestrator

from facerecon.errors import FaceReconError
from ops.code import tree_digest

STATE = "/state"
"""Where the image has the state folder: crops, cases and checkpoints, which one step makes and another reads."""
CODE = "FACERECON_CODE"
"""The variable that tells a step's container the digest of the code that its run was started from."""


def docker_settings(image: str) -> DockerSettings:
    """Take ``image`` as it is: nothing is built, and no code but its own runs."""
    return DockerSettings(
        parent_image=image,
        skip_build=True,
        allow_including_files_in_images=False,
        allow_download_from_artifact_store=False,
        allow_download_from_code_repository=False,
    )


def container_environment() -> dict[str, str]:
    """The variables that a step's container is given."""
    return {CODE: tree_digest()}


def check_code(environment: dict[str, str]) -> None:
    """See that an image holds the code that the run in ``environment`` was started from.

    Raises:
        FaceReconError: it does not; digests in the run's tags would be those of other code.
    """
    wanted, found = environment.get(CODE), tree_digest()
    if wanted not in (None, found):
        raise FaceReconError(
            f"the image holds the code {found[:12]}, and the run was started from {str(wanted)[:12]}: make the image "
            "again with `make image`, and run the same command"
        )


def check_state(orchestrator: BaseOrchestrator, settings: dict[str, Any], name: str) -> None:
    """See that the steps' containers share a state folder; ``settings`` are those of the run's file.

    Raises:
        FaceReconError: no volume is mounted there, so that no step would find what the one before has made.
    """
    given = settings.get("orchestrator") or settings.get(f"orchestrator.{orchestrator.flavor}") or {}
    if STATE not in _mounts(orchestrator.config.model_dump(), given):
        raise FaceReconError(
            f"the stack '{name}' mounts nothing at {STATE}, and each step runs in a container of its own: mount a "
            "volume there that all of them share, as infra/stacks/ shows"
        )


def _mounts(configured: dict[str, Any], given: dict[str, Any]) -> Iterator[str]:
    """Where something is mounted: what a run's file gives replaces the stack's; of pods it is added to it."""
    arguments = {**(configured.get("run_args") or {}), **(given.get("run_args") or {})}
    for volume in (arguments.get("volumes") or {}).values():
        yield str(volume["bind"])
    for settings in (configured, given):
        for mount in (settings.get("pod_settings") or {}).get("volume_mounts") or ():
            yield str(mount.get("mountPath") or mount.get("mount_path"))
    for claim in given.get("claims", configured.get("claims")) or ():
        yield str(claim["mount_path"])
