"""Training by the library alone, without orchestrator and tracker, in one process or in several.

``python -m facerecon.training configs/lfw.yaml runs/lfw`` or, on two GPUs or two CPU processes,
``torchrun --nproc-per-node 2 -m facerecon.training configs/lfw.yaml runs/lfw``. Processes share each batch; batch
normalisation counts in each the faces that it was given, so that figures agree within noise and not to the bit.
"""

from pathlib import Path

import click
import yaml

from facerecon.corruption.frozen import build_mask_set
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.alignment import align
from facerecon.data.ingest import ingest
from facerecon.data.validation import resolve_suites, validate
from facerecon.errors import FaceReconError
from facerecon.models.trained import save_model
from facerecon.run import parse_settings
from facerecon.training.loop import origin_of, train
from facerecon.training.processes import launch
from facerecon.weights import weights_path


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(config: Path, folder: Path) -> None:
    """Train what CONFIG says; faces, masks, checkpoints and the best model.safetensors go into FOLDER.

    Relative paths in CONFIG start in the current folder. The same command goes on after an interruption.
    """
    try:
        parameters = yaml.safe_load(config.read_text(encoding="utf-8"))["parameters"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise FaceReconError(f"{config}: not a run's file with `parameters:` ({error})") from error
    settings = parse_settings(parameters, str(config))
    fabric = launch(settings.training)
    with fabric.rank_zero_first():
        photos = ingest(settings.data, Path.cwd(), folder / "frames")
        faces = align(photos, settings.alignment, weights_path("face_landmarker"), folder / "crops")
        faces = validate(faces, resolve_suites(settings.validation, Path.cwd()), folder / "data_docs").manifest
        chosen = settings.masks
        masks = build_mask_set(
            folder / "masks", faces.size, chosen.evaluation_families, chosen.levels, chosen.count, chosen.seed
        )
    origin = origin_of(faces, masks, chosen, settings.model, settings.training, settings.seed)
    draw = TrainingMasks(chosen, faces.size)
    checkpoint = folder / "checkpoint"
    trained = train(faces, masks, draw, settings.model, settings.training, settings.seed, checkpoint, origin)
    if fabric.is_global_zero:
        save_model(folder / "model.safetensors", trained.best)
        last = trained.history[-1]
        click.echo(
            f"{folder / 'model.safetensors'}: step {trained.best.step} of {settings.training.steps}; at the end "
            + ", ".join(f"{name} {value:.4g}" for name, value in sorted(last.items()) if name.startswith("val/"))
        )


if __name__ == "__main__":
    main()
