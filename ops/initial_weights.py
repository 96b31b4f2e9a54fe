"""The weights that a training starts from, resolved once before the run: a version, an alias, a run, or a file."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from facerecon.errors import FaceReconError
from facerecon.models.trained import TrainedModel, digest_in
from facerecon.workspace import PROJECT

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from facerecon.run import RunSettings


LOG = logging.getLogger(__name__)

SUFFIX = ".safetensors"
"""How a file's name ends; what ends otherwise is no file."""


class InitialWeights(BaseModel):
    """Which weights, by ``digest``; ``source`` says where they are from, ``uri`` where they lie.

    An alias moves: what it stood for when the run began is what counts, and stands in the cache key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    source: str
    uri: str

    def load(self) -> TrainedModel:
        """The weights.

        Raises:
            FaceReconError: they are gone, or no longer those of the digest.
        """
        from ops.registry import read_weights

        return read_weights(self.uri, self.digest, f"training.init_from: {self.source}")


def resolve(settings: "RunSettings") -> InitialWeights | None:
    """What ``training.init_from`` means now, None if it is not set.

    A path that ends in SUFFIX is a file (relative ones start at the project's root); all else is a version
    (``demo/3``), an alias (``demo@champion``), the newest version (``demo@newest``), or a run.

    Raises:
        FaceReconError: there is no such thing, or its weights are gone.
    """
    text = settings.training.init_from
    if text is None:
        return None
    try:
        return _file(text) if text.endswith(SUFFIX) else _registered(text)
    except FaceReconError as error:
        raise FaceReconError(f"training.init_from: {_base_first(text) or error.message}") from error


def _base_first(text: str) -> str:
    """What to run first where ``text`` names a config of this project of which no version is registered; "" else."""
    from ops.registry import connect, registered_models, registered_name

    config = text.partition("@")[0].partition("/")[0]
    file = PROJECT / "configs" / f"{config}.yaml"
    known = {model.name for model in registered_models(connect())}
    if not config or not file.is_file() or registered_name(config) in known:
        return ""
    return f"'{text}': {config} has no version yet: run `zenml pipeline run training -c configs/{config}.yaml` first"


def alias(config: str, name: str) -> InitialWeights | None:
    """The weights of the version of a config that an alias stands on now; None if there is none, or they are gone."""
    from ops.registry import connect, registered_models, registered_name

    models = registered_models(connect())
    if not any(model.name == registered_name(config) and name in model.aliases for model in models):
        return None
    try:
        return _registered(f"{config}@{name}")
    except FaceReconError as error:
        LOG.warning("%s@%s: %s", config, name, error.message)
        return None


def find(digest: str, init_from: str) -> InitialWeights:
    """The weights of a digest, with which a run that said ``init_from`` began: in the registry, or still in that file.

    Raises:
        FaceReconError: they are neither here nor there.
    """
    from ops.registry import check_weights, connect, registered_models, versions_of

    client = connect()
    for version in (v for model in registered_models(client) for v in versions_of(client, model.name)):
        if version.tags.get("weights_digest") == digest:
            with suppress(FaceReconError):
                check_weights(version)
                return _of_version(version)
    if init_from.endswith(SUFFIX):
        with suppress(FaceReconError):
            if (found := _file(init_from)).digest == digest:
                return found
    raise FaceReconError(
        f"the weights that the run started from ({init_from}, then of digest {digest}) are not in the registry, nor in "
        "a file of that name: put them back"
    )


def _file(text: str) -> InitialWeights:
    path = PROJECT / Path(text).expanduser()
    if not path.is_file():
        raise FaceReconError(f"{path} does not exist: give a .safetensors file of a run")
    return InitialWeights(digest=digest_in(path), source=f"file {path.name}", uri=str(path))


def _registered(text: str) -> InitialWeights:
    from ops.registry import check_weights

    version = _version(text)
    check_weights(version)
    return _of_version(version)


def _of_version(version: "ModelVersion") -> InitialWeights:
    return InitialWeights(
        digest=version.tags["weights_digest"],
        source=f"{version.name} version {version.version}",
        uri=version.tags["weights_uri"],
    )


def _version(text: str) -> "ModelVersion":
    """The version that ``text`` names, or that holds the weights of the run that it names."""
    from ops.registry import connect, find_version, registered_models, versions_of
    from ops.runs import find_run

    try:
        return find_version(text)
    except FaceReconError:
        if "/" in text or "@" in text:
            raise
    client, digest = connect(), find_run(text).data.tags.get("weights_digest")
    versions = [version for model in registered_models(client) for version in versions_of(client, model.name)]
    found = [version for version in versions if digest and version.tags.get("weights_digest") == digest]
    if not found:
        raise FaceReconError(f"'{text}': no registered version holds the weights of that run")
    return found[-1]
