"""Training by the library alone, without orchestrator and tracker, in one process or in several.

``python -m facerecon.training configs/lfw.yaml runs/lfw`` or, on two GPUs or two CPU processes,
``torchrun --nproc-per-node 2 -m facerecon.training configs/lfw.yaml runs/lfw``. Processes share each batch; batch
normalisation counts in each the faces that it was given, so that figures agree within noise and not to the bit.
"""

from pathlib import Path

import click
import yaml

from facerecon.data.alignment import align
from facerecon.data.ingest import ingest
from facerecon.data.validation.check import validate
from facerecon.data.validation.suites import resolve_suites
from facerecon.errors import FaceReconError
from facerecon.experiment import Experiment
from facerecon.models.trained import TrainedModel, save_model
from facerecon.run import parse_settings
from facerecon.tasks import get_task
from facerecon.training.processes import launch
from facerecon.weights import weights_path


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(config: Path, folder: Path) -> None:
    """Train what CONFIG says; faces, cases, checkpoints and the best model.safetensors go into FOLDER.

    Relative paths in CONFIG start in the current folder. The same command resumes after an interruption.
    """
    try:
        parameters = yaml.safe_load(config.read_text(encoding="utf-8"))["parameters"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise FaceReconError(f"{config}: not a run's file with `parameters:` ({error})") from error
    settings = parse_settings(parameters, str(config))
    task, initial = get_task(settings.task), _initial(settings.training.init_from)
    fabric = launch(settings.training)
    with fabric.rank_zero_first():
        photos = ingest(settings.data, Path.cwd(), folder / "frames")
        faces = align(photos, settings.alignment, weights_path("face_landmarker"), folder / "crops")
        faces = validate(faces, resolve_suites(settings.validation, Path.cwd()), folder / "data_docs").manifest
        cases = task.freeze_cases(settings.values(*task.fields["cases"]), faces, folder / "cases")
    experiment = Experiment(task.name, settings.values(*task.fields["training"]), faces, cases, initial)
    result = experiment.train(folder / "checkpoint", experiment.provenance)
    if fabric.is_global_zero:
        save_model(folder / "model.safetensors", result.best)
        last = result.history[-1]
        click.echo(
            f"{folder / 'model.safetensors'}: step {result.best.step} of {settings.training.steps}; at the end "
            + ", ".join(f"{name} {value:.4g}" for name, value in sorted(last.items()) if name.startswith("val/"))
        )


def _initial(text: str | None) -> TrainedModel | None:
    """The weights of ``training.init_from``: without a registry, a file.

    Raises:
        FaceReconError: it is no .safetensors file.
    """
    if text is None:
        return None
    if not text.endswith(".safetensors"):
        raise FaceReconError(f"training.init_from = '{text}': this command knows no registry: give a .safetensors file")
    return TrainedModel.read(Path(text).expanduser())


if __name__ == "__main__":
    main()
