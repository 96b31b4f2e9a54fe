"""Making a run again from what MLflow knows of it, and saying whether the same comes out."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.retraining.settings import COLLECTED
from facerecon.workspace import PROJECT
from facerecon.yaml_files import to_yaml
from ops import QUIET
from ops.collecting import NEW, OLD
from ops.initial_weights import SUFFIX, find
from ops.lineage import dvc_digest
from ops.registry import weights_file
from ops.runs import fetch, find_run
from ops.stack.tracker import EXPERIMENT

OF_THE_RUN_ITSELF = (
    "mlflow.",
    "trained_in_run",
    "cached_steps",
    "repeats_run",
    "resumed_from_run",
    "initial_weights_from",
)
"""How tags begin that tell a run from its repetition and say nothing of what it was made of."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not what it was."""

    name: str
    then: str
    now: str


@dataclass(frozen=True)
class Reproduction:
    """What came out: differing ``results`` (none: the run is reproduced), and ``causes``, the differing tags.

    Of ``figures`` that were compared, those ``left_out`` are not counted: of face sets that only a retraining has.
    """

    run: str
    results: list[Difference]
    causes: list[Difference]
    figures: int
    left_out: int


def reproduce(name: str, keep: bool = False) -> Reproduction:
    """Check the run's commit, uncommitted difference and data out into a temporary worktree and run it there again.

    It has a ZenML, MLflow and state of its own, on this machine; this clone's, or its servers, are only read. ``keep``
    leaves the folder for a look.

    Raises:
        FaceReconError: no such run, or what made it cannot be had again; the line says what is missing. A run made
            with photos that are forgotten since is not made again: forgetting wins.
    """
    run = find_run(name)
    if ids := run.data.tags.get("forgotten"):
        raise FaceReconError(
            f"run {run.info.run_name} was made with photos that are forgotten since (group {ids} in forgotten.json): "
            "it cannot be made again; train on what is left with `zenml pipeline run training`"
        )
    with _folder(keep) as folder:
        before = _published(run, folder / "before")
        checkout = folder / "checkout"
        with _worktree(run, checkout, folder):
            settings = yaml.safe_load(fetch(run, "settings.yaml", folder).read_text(encoding="utf-8"))
            _link_data(run, settings, checkout)
            _run_again(run, settings, checkout, folder)
            after = {path.name: path for path in (folder / "outputs").glob("*/*")}
            results, figures, left_out = _compare(before, after)
            again = _only_run(folder / "state")
        return Reproduction(run.info.run_name, results, _differing_tags(run, again), figures, left_out)


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="facerecon-reproduce-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            _git("worktree", "prune")


def _git(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def _published(run: Run, folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True)
    return {name: fetch(run, f"published/{name}", folder) for name in ("metrics.json", "model.onnx")}


@contextmanager
def _worktree(run: Run, checkout: Path, folder: Path) -> Iterator[None]:
    commit, diff = run.data.tags.get("git_commit", "none"), run.data.tags.get("git_diff_digest", "clean")
    if commit == "none":
        raise FaceReconError(f"run {run.info.run_name} was made outside git: its code is not known")
    done = _git("worktree", "add", "--detach", str(checkout), commit)
    if done.returncode:
        raise FaceReconError(f"commit {commit} cannot be checked out ({done.stderr}): fetch it into this repository")
    try:
        if diff != "clean":
            patch = fetch(run, "uncommitted.diff", folder)
            done = _git("apply", "--binary", str(patch), cwd=checkout)
            if done.returncode:
                raise FaceReconError(f"the run's uncommitted difference does not fit commit {commit}: {done.stderr}")
        yield
    finally:
        _git("worktree", "remove", "--force", str(checkout))


def _link_data(run: Run, settings: dict[str, Any], checkout: Path) -> None:
    """Give the worktree the run's data: this clone's if they have not changed since, else from DVC's cache."""
    data = settings["data"]
    paths = [Path(source["path"]) for source in (data if isinstance(data, list) else [data])]
    for name in sorted({path.parts[0] for path in paths if path.parts and not path.is_absolute()}):
        recorded = run.data.tags.get(_DVC_TAGS.get(name, ""), "not tracked")
        known = recorded != "not tracked" and "changed since" not in recorded
        if known and name == COLLECTED:
            # a retraining writes it and leaves committing it to people
            out = {"md5": recorded, "hash": "md5", "path": name}
            (checkout / f"{name}.dvc").write_text(to_yaml({"outs": [out]}), encoding="utf-8")
        if known and recorded != dvc_digest(PROJECT / f"{name}.dvc"):
            _check_out(name, recorded, checkout)
        elif not (checkout / name).exists():
            # what DVC does not know can only be taken as it is: the manifest's digest will tell whether it is the same
            (checkout / name).symlink_to(PROJECT / name)


_DVC_TAGS = {"data": "data_dvc_digest", COLLECTED: "collected_dvc_digest"}
"""The tags with DVC's digests of folders."""


def _check_out(name: str, recorded: str, checkout: Path) -> None:
    commands = (
        ["config", "--local", "cache.dir", str(PROJECT / ".dvc" / "cache")],
        ["checkout", f"{name}.dvc"],
    )
    for command in commands:
        done = subprocess.run([_program("dvc"), *command], cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FaceReconError(
                f"the run's {name}/ ({recorded}) is not in this clone, nor in DVC's cache ({done.stderr}): "
                "check out the commit and `dvc pull` it"
            )


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _run_again(run: Run, settings: dict[str, Any], checkout: Path, folder: Path) -> None:
    """Run the training pipeline: a retraining, too, is a training on what was collected by then, from its parent."""
    if digest := run.data.tags.get("initial_weights"):
        # the worktree's registry is empty, and an alias may stand for another version now
        settings["training"]["init_from"] = str(_copy_initial(digest, settings["training"]["init_from"], folder))
    file = folder / f"{settings['name']}.yaml"
    file.write_text(to_yaml({"parameters": settings}), encoding="utf-8")
    environment = _environment(checkout, folder)
    for command in (["facerecon", "stack"], ["zenml", "pipeline", "run", "training", "-c", str(file)]):
        done = subprocess.run([_program(command[0]), *command[1:]], cwd=checkout, env=environment, check=False)
        if done.returncode:
            raise FaceReconError(
                f"`{' '.join(command[:4])}` failed in the worktree (exit {done.returncode}), its last lines say why"
            )


def _environment(checkout: Path, folder: Path) -> dict[str, str]:
    """This process's without what leads to its tracker and its servers, or opens them, and with places of its own."""
    kept = {name: value for name, value in os.environ.items() if name in QUIET or not name.startswith(_OF_SERVERS)}
    return kept | {
        "FACERECON_STATE": str(folder / "state"),
        "FACERECON_OUTPUTS": str(folder / "outputs"),
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        # the worktree's modules must win over those of this checkout
        "PYTHONPATH": str(checkout),
    }


_OF_SERVERS = ("MLFLOW_", "ZENML_", *(f"FACERECON_{name}" for name in ("MLFLOW_", "S3_", "ZENML_", "PEOPLE_KEY")))
"""How variables begin that say where a tracker or a server is, and who may use it."""


def _copy_initial(digest: str, init_from: str, folder: Path) -> Path:
    """Copy the weights that the run started from into ``folder``."""
    found, path = find(digest, init_from), folder / f"initial{SUFFIX}"
    with weights_file(found.uri, digest, found.source) as source:
        shutil.copyfile(source, path)
    return path


def _compare(before: dict[str, Path], after: dict[str, Path]) -> tuple[list[Difference], int, int]:
    """The results that differ, how many figures were compared, and how many not, being of a retraining's face sets."""
    then, now = (json.loads(files["metrics.json"].read_text(encoding="utf-8")) for files in (before, after))
    figures, again = dict(_leaves(then)), dict(_leaves(now))
    unlike: set[str] = set()
    if "face_sets" in then and "face_sets" not in now:
        # a training freezes no face sets, but equal weights, faces and cases mean equal figures
        unlike = {name for name in figures.keys() | again.keys() if not _OF_ANY_RUN.match(name)}
    names = sorted((figures.keys() | again.keys()) - unlike)
    found = [
        Difference(name, _shown(figures.get(name)), _shown(again.get(name)))
        for name in names
        if name not in figures or name not in again or figures[name] != again[name]
    ]
    digests = [sha256_file(files["model.onnx"]) for files in (before, after)]
    if digests[0] != digests[1]:
        found.insert(0, Difference("model.onnx (sha256)", *digests))
    return found, len(names), len(unlike)


_OF_FACE_SETS = re.compile(rf"\b(?:gate|test)_(?:{OLD}|{NEW})\b")
"""In what a figure or a tag is called: it is of a face set that a retraining makes beside the splits."""

_OF_ANY_RUN = re.compile(r"(model|data|cases)\b")
"""How figures are called that a retraining has in common with a training: its weights, faces and cases."""

_ROW_KEYS = ("face_set", "metric", "method", "family", "case", "level", "name")
"""What tells the rows of a list apart, in whichever version of the file."""


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every figure by its place; a row of a list is named by what tells it apart."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            said = [str(inner[key]) for key in _ROW_KEYS if key in inner] if isinstance(inner, dict) else []
            yield from _leaves(inner, f"{name}[{' '.join(said) or index}]")
    else:
        yield name, value


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _only_run(state: Path) -> Run:
    client = MlflowClient(f"sqlite:///{state / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], max_results=1)[0]


def _differing_tags(run: Run, again: Run) -> list[Difference]:
    then, now = (
        {
            key: value
            for key, value in each.data.tags.items()
            if not key.startswith(OF_THE_RUN_ITSELF) and not _OF_FACE_SETS.search(key)
        }
        for each in (run, again)
    )
    return [
        Difference(key, then.get(key, "nothing"), now.get(key, "nothing"))
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]
