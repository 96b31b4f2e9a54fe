"""What is checked before the first container of a run, and in each."""

from typing import Any

import pytest

from facerecon.errors import FaceReconError
from ops.code import tree_digest
from ops.containers.settings import CODE, check_code, check_state, container_environment, docker_settings


class Orchestrator:
    """An orchestrator as far as it is asked: its flavor and its configuration."""

    def __init__(self, flavor: str, **configuration: Any) -> None:
        self.flavor, self.config = flavor, self
        self._configuration = configuration

    def model_dump(self) -> dict[str, Any]:
        return self._configuration


STATE = [
    ("local_docker", {"run_args": {"volumes": {"/here": {"bind": "/state", "mode": "rw"}}}}),
    ("kubernetes", {"pod_settings": {"volume_mounts": [{"name": "state", "mountPath": "/state"}]}}),
    ("ours", {"claims": [{"name": "facerecon", "mount_path": "/state", "sub_path": "state"}]}),
]


@pytest.mark.parametrize(("flavor", "configuration"), STATE)
def test_the_state_may_be_mounted_by_the_stack_or_by_the_file(flavor: str, configuration: dict[str, Any]) -> None:
    check_state(Orchestrator(flavor, **configuration), {}, "s")
    check_state(Orchestrator(flavor), {"orchestrator": configuration}, "s")
    check_state(Orchestrator(flavor), {f"orchestrator.{flavor}": configuration}, "s")


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"run_args": {"volumes": {"/here": {"bind": "/states"}}}},
        {"pod_settings": {"volume_mounts": [{"mountPath": "/app/data"}]}},
        {"pod_settings": None, "claims": [{"name": "facerecon", "mount_path": "/data"}]},
    ],
)
def test_without_a_volume_for_the_state_it_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(FaceReconError, match=r"the stack 's' mounts nothing at /state"):
        check_state(Orchestrator("kubernetes", **configuration), {}, "s")


@pytest.mark.parametrize(
    ("configuration", "given"),
    [
        (STATE[0][1], {"run_args": {"volumes": {"/here": {"bind": "/app/data", "mode": "rw"}}}}),
        (STATE[2][1], {"claims": [{"name": "facerecon", "mount_path": "/app/data"}]}),
    ],
)
def test_what_a_file_gives_in_place_of_the_stacks_counts(configuration: dict[str, Any], given: dict[str, Any]) -> None:
    with pytest.raises(FaceReconError, match="mounts nothing at /state"):
        check_state(Orchestrator("ours", **configuration), {"orchestrator": given}, "s")


def test_a_container_with_other_code_than_the_runs_is_refused() -> None:
    check_code(container_environment())
    check_code({})  # started by hand
    with pytest.raises(FaceReconError, match=rf"holds the code {tree_digest()[:12]}, and the run .* from other: make"):
        check_code({CODE: "other"})


def test_the_image_is_taken_as_it_is() -> None:
    settings = docker_settings("registry.example.com/facerecon:1")
    assert (settings.parent_image, settings.skip_build) == ("registry.example.com/facerecon:1", True)
    assert not settings.allow_including_files_in_images
