"""Models in use: from what a user calls a model to the bytes of its ONNX file."""

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

from facerecon.contract import INPAINTING
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes, sha256_file
from facerecon.inference.making import Model, networks_of
from facerecon.inference.record import Record
from ops.code import LOCK

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def model_in_use(text: str | None, task: str = INPAINTING.task) -> Model:
    """The model that a user means: ``demo@champion``, ``demo/3``, ``demo`` (its champion), or the path of an ONNX file.

    None is the champion of the one registered model of ``task``. A file needs no registry.

    Raises:
        FaceReconError: there is none, several could be meant, or its file is gone.
    """
    if text is not None and is_file(text):
        path = Path(text)
        try:
            return Model(path.read_bytes(), path.name)
        except OSError as error:
            raise FaceReconError(f"{path}: cannot be read ({error.strerror}): give the model.onnx of a run") from error
    from ops.registry import find_version

    return model_of_version(find_version(text or "@champion", task))


def has_champion(task: str) -> bool:
    """Whether a registered model of ``task`` has a champion.

    Raises:
        FaceReconError: the registry does not answer.
    """
    from ops.registry import CHAMPION, connect, registered_models, task_of

    client = connect()
    return any(CHAMPION in model.aliases and task_of(client, model.name) == task for model in registered_models(client))


def is_file(text: str) -> bool:
    """Whether a model is meant that lies in a file, not in the registry."""
    return text.endswith(".onnx") or Path(text).is_file()


def model_of_version(version: "ModelVersion") -> Model:
    """The ONNX file of a version, from the files of the run that registered it.

    Raises:
        FaceReconError: it has no such run, or the file is gone.
    """
    from ops.registry import config_of, connect
    from ops.runs import fetch

    config = config_of(version.name)
    if not version.run_id:
        raise FaceReconError(f"{config}/{version.version} was not registered by a run: name its ONNX file by its path")
    with tempfile.TemporaryDirectory() as folder:
        path = fetch(connect().get_run(version.run_id), "published/model.onnx", Path(folder))
        return Model(path.read_bytes(), config, str(version.version))


def models_of(record: Record, given: Sequence[str]) -> list[bytes]:
    """The bytes of the model files that a record names: those ``given`` by the user, the others from the registry.

    Raises:
        FaceReconError: one that is given is another file than the record names, or one is not to be had.
    """
    facts = [each for each in (record.model, record.restorer) if each is not None]
    wanted = [stage.digests["model"] for stage in networks_of(record.stages)]
    found = {}
    for text in given:
        model = model_in_use(text)
        if model.digest not in wanted:
            named = " and ".join(f"{digest[:12]}…" for digest in wanted)
            raise FaceReconError(f"{text} is another model file than the record names (SHA-256 {named})")
        found[model.digest] = model.content
    for fact, digest in zip(facts, wanted, strict=True):
        if digest in found:
            continue
        if not fact.version:
            raise FaceReconError(f"its model is the file {fact.name} (SHA-256 {digest[:12]}…): name it by --model")
        text = f"{fact.name}/{fact.version}"
        model = model_in_use(text)
        if model.digest != digest:
            raise FaceReconError(f"{text} is another model file than the record names (SHA-256 {digest[:12]}…)")
        found[digest] = model.content
    return list(found.values())


def login_name() -> str:
    """Who is logged in, "" if the system does not say."""
    try:
        return getuser()
    except (OSError, KeyError):  # a container's user has no name
        return ""


@lru_cache(maxsize=1)
def software() -> dict[str, str]:
    """What is known of this program: its version, the commit, whether it was changed since, and the locked packages."""
    from importlib.metadata import version

    from ops.lineage import commit, uncommitted_diff

    return {
        "facerecon": version("facerecon"),
        "commit": commit(),
        "uncommitted_diff": sha256_bytes(uncommitted_diff().encode("utf-8", "surrogateescape")),
        "requirements.lock": sha256_file(LOCK),
    }
