"""MLflow's model registry: one registered model per named config, its versions, their weights and aliases."""

import fcntl
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.utils import get_results_from_paginated_fn
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from facerecon.contract import INPAINTING, Signature, Value
from facerecon.errors import FaceReconError
from facerecon.export.result import ExportedModel
from facerecon.models.trained import TrainedModel, digest_in
from facerecon.workspace import state_folder
from ops.shared.lease import Lease, lease
from ops.shared.place import shared_place
from ops.stack.tracker import SERVER, check_registry, use_tracker

CHAMPION, CHALLENGER, ANCHOR = "champion", "challenger", "anchor"

NEWEST = "newest"
"""What stands for an alias of a model's newest version: MLflow has none that moves by itself."""

PREFIX = "facerecon-"

TAG_LENGTH = 5_000
"""So many characters a tag of the registry may have: what MLflow's databases take of a registered model's."""

_NAMED = re.compile(rf"(?:models:/)?(?:{PREFIX})?(?P<config>[a-z0-9][a-z0-9_-]*)?(?:/(?P<number>\d+)|@(?P<alias>\w+))?")


def registered_name(config: str) -> str:
    """The registered model of a named config: a demo champion never competes with another config's."""
    return f"{PREFIX}{config}"


def config_of(name: str) -> str:
    """The named config of a registered model."""
    return name.removeprefix(PREFIX)


_leases: list[Lease] = []
"""The lease of the lock that this process holds, if the registry is a server's."""


@contextmanager
def registry_lock(wait: bool = True) -> Iterator[bool]:
    """One promotion at a time in a registry: setting an alias knows no compare-and-set.

    Yields whether the lock is held: without ``wait`` it is not where somebody else holds it. In this clone's own
    registry it is a file's; in a server's it is a lease, which expires if its holder's machine dies.

    Raises:
        FaceReconError: the place of the leases does not answer.
    """
    if (place := shared_place()) is not None:
        with lease(place, "registry", wait) as held:
            _leases.extend([] if held is None else [held])
            try:
                yield held is not None
            finally:
                _leases.clear()
        return
    path = state_folder() / "registry.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def check_lock() -> None:
    """See that the lock is still held, before something is written; raises as ``Lease.check``."""
    for held in _leases:
        held.check()


@contextmanager
def answering() -> Iterator[None]:
    """Turn a registry that does not answer (locked, moved, unreachable) into one clear line.

    Raises:
        FaceReconError: MLflow or its database failed inside the block.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        said = str(error).strip().splitlines()[0][:200]
        raise FaceReconError(
            f"MLflow's registry at {mlflow.get_tracking_uri()} does not answer as it should ({said}): see that it is "
            "there and that no other program holds it, then run again; what was begun is completed"
        ) from error


def check_text(what: str, text: str, most: int = TAG_LENGTH) -> str:
    """``text``, which is to be written to MLflow, if MLflow and its databases take it.

    Raises:
        FaceReconError: it is longer than ``most`` characters, or holds what is no text: bytes of another encoding than
            the terminal's, NUL, or control characters.
    """
    if len(text) > most:
        raise FaceReconError(f"{what} has {len(text)} characters, at most {most} are kept: shorten it")
    for place, letter in enumerate(text):
        kind = unicodedata.category(letter)
        if kind == "Cs" or (kind == "Cc" and letter not in "\t\n\r"):
            raise FaceReconError(
                f"{what} holds {letter!a} after {text[max(place - 20, 0) : place]!a}, which is no text that "
                "can be kept: give it in UTF-8 (does the terminal's encoding agree with the locale?) and without "
                "control characters"
            )
    return text


def check_tags(owner: str, tags: Mapping[str, str]) -> None:
    """See that MLflow takes all tags of ``owner`` before the first is set; raises as ``check_text``."""
    for key, value in tags.items():
        check_text(f"the tag {key} of {owner}", value)


def connect() -> MlflowClient:
    """A client of the tracker that is set, as in a step, else of the active stack's, as in a command.

    Raises:
        FaceReconError: the tracker is a local database that is not there, or a server with another registry than the
            stack's. MLflow would begin an empty one, in which the next model, however bad, would be the first and so
            the champion.
    """
    if not mlflow.is_tracking_uri_set():
        use_tracker()
    uri = mlflow.get_tracking_uri()
    if uri.startswith(SERVER):
        check_registry()
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not (path.is_file() and path.stat().st_size):
        raise FaceReconError(
            f"MLflow's database {path} is not there: put it back where it was, or run `make stack` to begin a new one"
        )
    with answering():
        return MlflowClient()


def registered_models(client: MlflowClient) -> list[RegisteredModel]:
    """This project's registered models with their aliases, by name."""
    with answering():
        found: list[RegisteredModel] = get_results_from_paginated_fn(
            lambda most, token: client.search_registered_models(f"name LIKE '{PREFIX}%'", most, page_token=token), 100
        )
    return sorted(found, key=lambda model: model.name)


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a registered model, the oldest first."""
    with answering():
        return sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))


def task_of(client: MlflowClient, name: str) -> str:
    """The task of a registered model, as its newest version says; one that was registered before there was a second
    task does not."""
    newest = versions_of(client, name)[-1:]
    return newest[0].tags.get("task", INPAINTING.task) if newest else INPAINTING.task


def find_version(text: str, task: str | None = None) -> ModelVersion:
    """The version that a user means by ``demo/3``, ``demo@champion``, ``demo@newest`` or ``demo`` (its
    champion).

    With a single registered model, or a single one of ``task`` if that is given, ``3`` and ``@champion`` will do.
    MLflow's own ``models:/facerecon-demo/3`` is understood as well.

    Raises:
        FaceReconError: no such version, or several models could be meant; the line says which there are.
    """
    client = connect()
    models = registered_models(client)
    if not models:
        raise FaceReconError("no model is registered yet: train one with `zenml pipeline run training`")
    configs = [config_of(model.name) for model in models]
    match = _NAMED.fullmatch(text)
    if match is None or not text:
        raise FaceReconError(f"'{text}' is not a model version; expected {configs[0]}/3 or {configs[0]}@{CHAMPION}")
    config, number, alias = match["config"], match["number"], match["alias"]
    if config and config.isdigit() and not (number or alias) and config not in configs:
        config, number = None, config
    if config is None and task is not None:
        models = [model for model in models if task_of(client, model.name) == task]
        configs = [config_of(model.name) for model in models]
        if not models:
            raise FaceReconError(f"no model of {task} is registered yet: train one, or name its file.onnx")
    if config is None and len(configs) > 1:
        raise FaceReconError(f"'{text}': there are several models, say which: {', '.join(configs)}")
    config = config or configs[0]
    if config not in configs:
        raise FaceReconError(f"'{text}': no model of config '{config}' is registered; there are: {', '.join(configs)}")
    model = models[configs.index(config)]
    if alias == NEWEST and number is None:
        return versions_of(client, model.name)[-1]
    if number is None:
        alias = alias or CHAMPION
        number = model.aliases.get(alias)
        if number is None:
            held = ", ".join(f"{key} (version {value})" for key, value in sorted(model.aliases.items())) or "none"
            raise FaceReconError(f"'{text}': {config} has no {alias}; its aliases: {held}")
    versions = {int(version.version): version for version in versions_of(client, model.name)}
    if int(number) not in versions:
        raise FaceReconError(f"'{text}': {config} has no version {number}; there are: {_listed(list(versions))}")
    return versions[int(number)]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def log_onnx(exported: ExportedModel, signature: Signature, example: dict[str, NDArray[np.float32]]) -> str:
    """Log the ONNX file as a model of the active run, with signature and ``example``, which shows no one.

    Returns the logged model's uri.
    """
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensors: tuple[Value, ...]) -> Schema:
        kind = np.dtype(np.float32)
        return Schema(
            [TensorSpec(kind, tuple(s if isinstance(s, int) else -1 for s in t.shape), t.name) for t in tensors]
        )

    info = mlflow.onnx.log_model(
        onnx.load_from_string(exported.content),
        name="model",
        signature=ModelSignature(inputs=schema(signature.inputs), outputs=schema(signature.outputs)),
        input_example=example,
        pip_requirements=[f"onnx=={onnx.__version__}", "onnxruntime", "numpy"],
    )
    return str(info.model_uri)


def version_of(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The newest version that holds the weights of this digest, None if none does."""
    return next((v for v in reversed(versions_of(client, name)) if v.tags.get("weights_digest") == digest), None)


def register(name: str, model_uri: str, tags: dict[str, str]) -> ModelVersion:
    """A new version of the model logged at ``model_uri``, with these tags from its first moment."""
    with answering():
        return mlflow.register_model(model_uri, name, tags=tags)


def weights_of(version: ModelVersion) -> TrainedModel:
    """The weights of a registered version from the uri that stands on it.

    Raises:
        FaceReconError: they are gone, or no longer those that were registered.
    """
    tags = version.tags
    return read_weights(tags.get("weights_uri", ""), tags.get("weights_digest", ""), f"version {version.version}")


def check_weights(version: ModelVersion) -> None:
    """See that the weights of a registered version are there, without loading torch; raises as ``weights_of``."""
    tags = version.tags
    with weights_file(tags.get("weights_uri", ""), tags.get("weights_digest", ""), f"version {version.version}"):
        pass


def read_weights(uri: str, digest: str, owner: str) -> TrainedModel:
    """The weights at ``uri``, which must have ``digest``; ``owner`` says in errors whose they are.

    Raises:
        FaceReconError: they are gone, or others.
    """
    with weights_file(uri, digest, owner) as path:
        return TrainedModel.read(path)


@contextmanager
def weights_file(uri: str, digest: str, owner: str) -> Iterator[Path]:
    """A local file with the weights at ``uri``; see ``read_weights``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(uri)
        if "://" in uri:
            path = Path(folder) / "model.safetensors"
            _download(uri, path)
        if not uri or not path.is_file():
            raise FaceReconError(f"the weights of {owner} are gone from {uri or 'nowhere'}")
        if digest_in(path) != digest:
            raise FaceReconError(f"the weights at {uri} are not those that were registered as {owner}")
        yield path


def _download(uri: str, path: Path) -> None:
    """Copy a file of a remote artifact store to ``path``, if it is there."""
    # imported when it is used: it takes seconds
    from zenml.io import fileio

    try:
        if fileio.exists(uri):
            with fileio.open(uri, "rb") as stream:
                path.write_bytes(stream.read())
    # each store raises errors of its own, and ZenML a ValueError for an address of none
    except Exception as error:
        raise FaceReconError(f"the weights cannot be fetched from {uri}: {error}") from error
