"""The weights that a training starts from, resolved once before the run: a version, an alias, a run, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from facerecon.errors import FaceReconError
from facerecon.models.trained import TrainedModel
from facerecon.run import RunSettings
from facerecon.workspace import PROJECT

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


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


def resolve(settings: RunSettings) -> InitialWeights | None:
    """What ``training.init_from`` means now, None if it is not set.

    A path that ends in ``.safetensors`` is a file (relative ones start at the project's root); all else is a version
    (``demo/3``), an alias (``demo@champion``), or a run.

    Raises:
        FaceReconError: there is no such thing, or its weights are gone.
    """
    text = settings.training.init_from
    if text is None:
        return None
    if text.endswith(".safetensors"):
        path = PROJECT / Path(text).expanduser()
        if not path.is_file():
            raise FaceReconError(f"training.init_from: {path} does not exist: give a .safetensors file of a run")
        return InitialWeights(digest=TrainedModel.read(path).digest, source=f"file {path.name}", uri=str(path))
    try:
        version = _version(text)
    except FaceReconError as error:
        raise FaceReconError(f"training.init_from: {error.message}") from error
    return InitialWeights(
        digest=version.tags.get("weights_digest", ""),
        source=f"{version.name} version {version.version}",
        uri=version.tags.get("weights_uri", ""),
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
